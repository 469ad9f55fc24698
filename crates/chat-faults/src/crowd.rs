//! Many clients that are connected at once.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

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

    /// Has one client send a message of `body`, and reads it at each of them. Returns how many got
    /// something else or nothing.
    ///
    /// # Errors
    ///
    /// When the message cannot be sent.
    ///
    /// # Panics
    ///
    /// When the body is too long for a message.
    pub fn broadcast(&mut self, sender: usize, body: &[u8]) -> io::Result<usize> {
        let mut message = vec![u8::try_from(body.len()).expect("a body has 255 bytes at most")];
        message.extend_from_slice(body);
        self.clients[sender].write_all(&message)?;
        let mut received = vec![0; message.len()];
        let reads = self
            .clients
            .iter_mut()
            .map(|client| client.read_exact(&mut received).is_ok() && received == message);
        Ok(reads.filter(|is_right| !is_right).count())
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
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.set_nodelay(true)?;
    Ok(stream)
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
