//! Many clients that are connected at once.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

/// Clients that are connected at once, and do little.
///
/// They connect from several addresses of the loopback, since one address has ports for fewer.
#[derive(Debug)]
pub struct Crowd {
    clients: Vec<TcpStream>,
}

impl Crowd {
    /// Connects so many clients, which let the system hold about `recv_buf_len` bytes each if that
    /// is given.
    ///
    /// # Errors
    ///
    /// When one of them cannot connect.
    pub fn gather(
        server: SocketAddr,
        count: usize,
        recv_buf_len: Option<usize>,
    ) -> io::Result<Self> {
        let clients = (0..count).map(|number| connect(server, number, recv_buf_len));
        Ok(Self {
            clients: clients.collect::<io::Result<_>>()?,
        })
    }

    /// Waits until the server serves all of them: it may send one that it has not met yet nothing
    /// that comes before. Returns how many it does not serve in time.
    ///
    /// # Errors
    ///
    /// When a message cannot be sent.
    pub fn settle(&self) -> io::Result<usize> {
        let deadline = Instant::now() + TIMEOUT;
        let mut unmet: Vec<usize> = (0..self.clients.len()).collect();
        while !unmet.is_empty() && Instant::now() < deadline {
            send(&self.clients[0], KNOCK)?;
            let patience = Instant::now() + KNOCK_TIMEOUT;
            let clients = &self.clients;
            unmet.retain(|&number| receive(&clients[number], KNOCK, patience).is_err());
        }
        Ok(unmet.len())
    }

    /// Has one client send a message of `body`, and reads it at each of them, past messages of other
    /// bodies. Returns how many did not get it.
    ///
    /// # Errors
    ///
    /// When the message cannot be sent.
    ///
    /// # Panics
    ///
    /// When the body is too long for a message.
    pub fn broadcast(&self, sender: usize, body: &[u8]) -> io::Result<usize> {
        send(&self.clients[sender], body)?;
        let deadline = Instant::now() + TIMEOUT;
        let received = self
            .clients
            .iter()
            .map(|client| receive(client, body, deadline));
        Ok(received.filter(Result::is_err).count())
    }

    /// Returns how many clients there are.
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// Tells whether there is no client.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }
}

fn connect(
    server: SocketAddr,
    number: usize,
    recv_buf_len: Option<usize>,
) -> io::Result<TcpStream> {
    let socket = Socket::new(
        Domain::for_address(server),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if let Some(len) = recv_buf_len {
        socket.set_recv_buffer_size(len)?;
    }
    if server.is_ipv4() {
        let last = u8::try_from(2 + number / CLIENTS_PER_ADDRESS).unwrap_or(u8::MAX);
        socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0)).into())?;
    }
    socket.connect_timeout(&server.into(), TIMEOUT)?;
    let stream = TcpStream::from(socket);
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn send(mut stream: &TcpStream, body: &[u8]) -> io::Result<()> {
    let mut message = vec![u8::try_from(body.len()).expect("a body has 255 bytes at most")];
    message.extend_from_slice(body);
    stream.write_all(&message)
}

/// Receives messages until one is this.
fn receive(stream: &TcpStream, body: &[u8], deadline: Instant) -> io::Result<()> {
    let mut received = Vec::new();
    while received != body {
        let mut len = [0];
        read(stream, &mut len, deadline)?;
        received.resize(len[0].into(), 0);
        // The rest of a message that has begun is on its way.
        read(stream, &mut received, Instant::now() + TIMEOUT)?;
    }
    Ok(())
}

fn read(mut stream: &TcpStream, buf: &mut [u8], deadline: Instant) -> io::Result<()> {
    let left = deadline.saturating_duration_since(Instant::now());
    stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
    stream.read_exact(buf)
}

/// Returns how many bytes the system holds for all TCP sockets of the machine, if it tells.
///
/// Source: `mem` of `TCP` in `/proc/net/sockstat`, in pages of 4 KiB.
pub fn socket_memory() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/net/sockstat").ok()?;
    let line = stat.lines().find_map(|line| line.strip_prefix("TCP:"))?;
    let mut words = line.split_whitespace().skip_while(|&word| word != "mem");
    let pages: u64 = words.nth(1)?.parse().ok()?;
    Some(pages * 4096)
}

/// How many clients share an address. A judgement: half of the ports that are given out.
const CLIENTS_PER_ADDRESS: usize = 10_000;

/// How long anything may take. Nothing comes near it unless it hangs.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What one of them says until all others have heard it, and how long they listen each time.
const KNOCK: &[u8] = b"knock";
const KNOCK_TIMEOUT: Duration = Duration::from_secs(1);
