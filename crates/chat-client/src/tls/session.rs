//! What TLS keeps for a connection, shared by a thread that reads and one that writes.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chat_tls::{ClientConnection, cut, explain, late};

/// What TLS keeps for a connection.
///
/// The connection's own lock is never held while the socket is read or written, so that neither
/// thread waits for the other's socket. The lock of a side is, so that its bytes stay in order; it is
/// taken first.
#[derive(Debug)]
pub(crate) struct TlsSession {
    connection: Mutex<ClientConnection>,
    received: Mutex<Received>,
    /// Guards the order of what is written to the socket; it is empty in between.
    to_send: Mutex<Vec<u8>>,
}

/// What was read from the socket and not yet deciphered.
#[derive(Debug)]
struct Received {
    buf: Box<[u8]>,
    start: usize,
    end: usize,
}

impl TlsSession {
    /// Makes one of a connection that has done its handshake.
    pub(super) fn new(connection: ClientConnection) -> Self {
        let received = Received {
            buf: vec![0; RECEIVED_LEN].into(),
            start: 0,
            end: 0,
        };
        Self {
            connection: Mutex::new(connection),
            received: Mutex::new(received),
            to_send: Mutex::default(),
        }
    }

    /// Reads. A stream that ends before the server has said so is an error.
    pub(crate) fn read(&self, socket: &TcpStream, buf: &mut [u8]) -> io::Result<usize> {
        let mut received = lock(&self.received);
        loop {
            {
                let mut connection = lock(&self.connection);
                received.decipher(&mut connection)?;
                match connection.reader().read(buf) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    read => return read,
                }
            }
            received.fill(socket)?;
            if received.end == 0 {
                return Err(cut());
            }
        }
    }

    /// Writes: all that is taken is with the socket when this returns.
    pub(crate) fn write(&self, socket: &TcpStream, buf: &[u8]) -> io::Result<usize> {
        let mut to_send = lock(&self.to_send);
        let taken = {
            let mut connection = lock(&self.connection);
            let taken = connection.writer().write(buf)?;
            encipher(&mut connection, &mut to_send)?;
            taken
        };
        send(socket, &mut to_send)?;
        Ok(taken)
    }

    /// Tells the server that nothing more is sent.
    pub(crate) fn end_sending(&self, socket: &TcpStream) -> io::Result<()> {
        let mut to_send = lock(&self.to_send);
        {
            let mut connection = lock(&self.connection);
            connection.send_close_notify();
            encipher(&mut connection, &mut to_send)?;
        }
        send(socket, &mut to_send)
    }
}

impl Received {
    /// Deciphers until there is something to read, or nothing is left.
    fn decipher(&mut self, connection: &mut ClientConnection) -> io::Result<()> {
        while self.start < self.end && connection.wants_read() {
            let mut left = &self.buf[self.start..self.end];
            let taken = connection.read_tls(&mut left)?;
            self.start += taken;
            connection.process_new_packets().map_err(explain)?;
        }
        Ok(())
    }

    /// Reads from the socket, when all that was read before is deciphered.
    fn fill(&mut self, socket: &TcpStream) -> io::Result<()> {
        debug_assert_eq!(self.start, self.end, "everything is deciphered");
        (self.start, self.end) = (0, 0);
        let mut socket = socket;
        self.end = socket.read(&mut self.buf)?;
        Ok(())
    }
}

/// Does the handshake.
pub(super) fn shake(
    mut socket: &TcpStream,
    connection: &mut ClientConnection,
    deadline: Instant,
) -> io::Result<()> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(late());
        }
        // With no time left at all, the system would wait for ever.
        let left = Some(left.max(Duration::from_millis(1)));
        socket.set_read_timeout(left)?;
        socket.set_write_timeout(left)?;
        if !chat_tls::shake(connection, &mut socket).map_err(in_time)? {
            break;
        }
    }
    socket.set_read_timeout(None)?;
    socket.set_write_timeout(None)
}

/// Puts what the connection has to send after what is there.
fn encipher(connection: &mut ClientConnection, to_send: &mut Vec<u8>) -> io::Result<()> {
    while connection.wants_write() {
        connection.write_tls(to_send)?;
    }
    Ok(())
}

fn send(mut socket: &TcpStream, to_send: &mut Vec<u8>) -> io::Result<()> {
    let sent = socket.write_all(to_send);
    to_send.clear();
    sent
}

/// Tells that the time is over from other failures of the handshake.
fn in_time(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => late(),
        _ => error,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it is held.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many bytes are read from the socket at once: a whole record of TLS has a little more than 16
/// KiB. A judgement: several, so that a look at the socket is worth it.
const RECEIVED_LEN: usize = 64 * 1024;
