//! How a connection begins.

use std::io;
use std::net::SocketAddr;

use chat_tls::ClientConnection;
use mio::net::TcpStream;
use mio::{Registry, Token};
use rustix::io::Errno;
use socket2::{Domain, Socket, Type};

use crate::connection::{Client, INTEREST, State};
use crate::tls::Session;

impl Client {
    /// Begins to connect to `addr`. Events arrive under `token`.
    pub(crate) fn connect(addr: SocketAddr, token: Token, registry: &Registry) -> io::Result<Self> {
        Self::register(TcpStream::connect(addr)?, token, registry)
    }

    /// Does the same for a client that reads slowly, and for which the system is to hold little that
    /// it has not read, here and at the server: else it would be megabytes before the server meets
    /// it.
    pub(crate) fn connect_slow(
        addr: SocketAddr,
        bytes_per_s: u32,
        token: Token,
        registry: &Registry,
    ) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        // Both are part of what is agreed on when connecting.
        let recv_buf_len = bytes_per_s / RECV_BUF_PART;
        let recv_buf_len = recv_buf_len.clamp(RECV_BUF_LEN_MIN, RECV_BUF_LEN_MAX);
        socket.set_recv_buffer_size(recv_buf_len as usize)?;
        socket.set_tcp_mss(SEGMENT_LEN)?;
        match socket.connect(&addr.into()) {
            Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => {
                return Err(error);
            }
            _ => {}
        }
        Self::register(TcpStream::from_std(socket.into()), token, registry)
    }

    fn register(mut stream: TcpStream, token: Token, registry: &Registry) -> io::Result<Self> {
        registry.register(&mut stream, token, INTEREST)?;
        Ok(Self {
            stream,
            tls: None,
            token,
            state: State::Connecting,
            unfinished: Vec::new(),
            unsent: Vec::new(),
            taken: 0,
            is_held: false,
        })
    }

    /// Has the connection be one over TLS: it is established when its handshake is done.
    #[must_use]
    pub(crate) fn over_tls(mut self, session: ClientConnection) -> Self {
        self.tls = Some(Session::new(session).into());
        self
    }

    /// Goes on connecting, after an event, and tells whether this completed it.
    pub(crate) fn finish_connecting(&mut self) -> io::Result<bool> {
        if self.state == State::Connecting && !self.is_accepted()? {
            return Ok(false);
        }
        if self.state == State::Connected {
            return Ok(false);
        }
        self.state = State::Shaking;
        if let Some(tls) = &mut self.tls
            && !tls.shake(&mut self.stream)?
        {
            return Ok(false);
        }
        self.state = State::Connected;
        Ok(true)
    }

    /// Tells whether the server has accepted the connection.
    fn is_accepted(&mut self) -> io::Result<bool> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        match self.stream.peer_addr() {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(false),
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        // A message is one small write, and the next waits for it: nothing may hold it back.
        self.stream.set_nodelay(true)?;
        Ok(true)
    }
}

/// The receive buffer of a slow client, as a part of what it reads in a second. A judgement: twice
/// what it reads at once, or it could not keep to its rate.
const RECV_BUF_PART: u32 = 10;

/// The bounds of that in bytes. A judgement: some segments, and what the system gives to a client
/// that keeps up.
const RECV_BUF_LEN_MIN: u32 = 8 << 10;
const RECV_BUF_LEN_MAX: u32 = 4 << 20;

/// The longest segment to a slow client in bytes, as on an Ethernet. The system sizes the server's
/// send buffer by it: with those of the loopback, 64 KiB, it takes 4 MiB for a client that reads 10 kB
/// per second, and with these, some 200 KiB (measured on Linux 6, with the receive buffers above).
const SEGMENT_LEN: u32 = 1460;

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{Ipv4Addr, TcpListener};
    use std::thread;

    use mio::Poll;

    use super::*;

    /// Writes to a client that does not read, and returns how many bytes the system takes.
    fn taken_len(connect: impl FnOnce(SocketAddr, &Registry) -> io::Result<Client>) -> usize {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let poll = Poll::new().unwrap();
        let _client = connect(listener.local_addr().unwrap(), poll.registry()).unwrap();
        let mut server = listener.accept().unwrap().0;
        server.set_nonblocking(true).unwrap();
        let (mut taken, mut full_count) = (0, 0);
        // What is on its way from one to the other makes room again.
        while full_count < 50 && taken < TAKEN_LEN_MAX {
            match server.write(&[0; 4096]) {
                Ok(len) => taken += len,
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    full_count += 1;
                    thread::sleep(std::time::Duration::from_millis(2));
                }
            }
        }
        taken
    }

    #[test]
    fn a_server_meets_a_slow_client_before_megabytes_are_under_way() {
        let slow_len =
            taken_len(|addr, registry| Client::connect_slow(addr, 10_000, Token(0), registry));
        assert!(slow_len < 1 << 20, "{slow_len}");
        // Whoever reads fast is given room for it.
        let fast_len =
            taken_len(|addr, registry| Client::connect_slow(addr, 10_000_000, Token(0), registry));
        assert!(fast_len > 1 << 20, "{fast_len}");
    }

    const TAKEN_LEN_MAX: usize = 64 << 20;
}
