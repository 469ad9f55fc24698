//! The sockets that clients connect to.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_io::Async;
use async_std::net;
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, TcpKeepalive, Type};

use crate::address::Address;
use crate::peer::Peer;
use crate::socket_file::SocketFile;
use crate::stream::Stream;

/// A socket that clients connect to.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(net::TcpListener),
    HandedOver(HandedOver),
    /// Its file is this server's, unless it was handed over.
    Unix(Async<UnixListener>, Option<SocketFile>),
}

/// A TCP listener of another program, which has held it since before it had its options. Clients may
/// have connected then, whose sockets have none.
#[derive(Debug)]
pub(crate) struct HandedOver {
    listener: net::TcpListener,
    stall_timeout: Option<Duration>,
}

impl Listener {
    /// Listens on an address. The sockets of TCP clients get their options from this one. Where a
    /// client may take nothing for `stall_timeout` alone, the system need not wait for one that is
    /// gone, either.
    pub(crate) fn open(address: &Address, stall_timeout: Option<Duration>) -> io::Result<Self> {
        match address {
            Address::Ip(address) => Ok(Self::Tcp(listen(*address, stall_timeout)?.into())),
            Address::Unix(path) => listen_at(path),
        }
    }

    /// Takes a listener that was handed over, and sets the same options.
    pub(crate) fn adopt_tcp(
        listener: TcpListener,
        stall_timeout: Option<Duration>,
    ) -> io::Result<Self> {
        set_options(&SockRef::from(&listener), stall_timeout)?;
        // It has to be known to be good before it is one of async-std's.
        listener.set_nonblocking(true)?;
        Ok(Self::HandedOver(HandedOver {
            listener: listener.into(),
            stall_timeout,
        }))
    }

    /// Takes a listener that was handed over; its file is not this server's.
    pub(crate) fn adopt_unix(listener: UnixListener) -> io::Result<Self> {
        Ok(Self::Unix(Async::new(listener)?, None))
    }

    /// Returns where it listens, with the port that the system chose.
    pub(crate) fn address(&self) -> io::Result<Address> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(Address::Ip),
            Self::HandedOver(handed) => handed.listener.local_addr().map(Address::Ip),
            Self::Unix(listener, _) => {
                let address = SockRef::from(listener).local_addr()?;
                Ok(Address::Unix(path(&address)))
            }
        }
    }
}

/// Accepts clients of one kind.
pub(crate) trait Accept: Send + Sync {
    type Stream: Stream;

    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, Peer)>> + Send;
}

impl Accept for net::TcpListener {
    type Stream = net::TcpStream;

    async fn accept(&self) -> io::Result<(net::TcpStream, Peer)> {
        let (stream, address) = net::TcpListener::accept(self).await?;
        Ok((stream, address.into()))
    }
}

impl Accept for HandedOver {
    type Stream = net::TcpStream;

    async fn accept(&self) -> io::Result<(net::TcpStream, Peer)> {
        let (stream, address) = self.listener.accept().await?;
        // Where it fails, the client is gone already, and that is found out when it is served.
        let _ = set_options(&SockRef::from(&stream), self.stall_timeout);
        Ok((stream, address.into()))
    }
}

/// The system holds as much for a client as it does for any Unix socket, 208 KiB unless somebody
/// changed it (`net.core.wmem_default`).
impl Accept for Async<UnixListener> {
    type Stream = Async<UnixStream>;

    async fn accept(&self) -> io::Result<(Async<UnixStream>, Peer)> {
        let (stream, _) = Async::<UnixListener>::accept(self).await?;
        let peer = Peer::of_unix(&stream);
        Ok((stream, peer))
    }
}

fn listen(address: SocketAddr, stall_timeout: Option<Duration>) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // Connections of a server that has just ended do not keep the next one from its port.
    socket.set_reuse_address(true)?;
    set_options(&SockRef::from(&socket), stall_timeout)?;
    socket.bind(&address.into())?;
    socket.listen(QUEUE_LEN)?;
    Ok(socket.into())
}

/// Listens at a path. Who may connect is who may write to the file, which is what the umask leaves.
fn listen_at(path: &Path) -> io::Result<Listener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    let file = SocketFile::bind(&socket, path)?;
    socket.listen(QUEUE_LEN)?;
    Ok(Listener::Unix(Async::new(socket.into())?, Some(file)))
}

/// Returns the path of a Unix socket; a name that is no path begins with an `@`, as everywhere.
fn path(address: &SockAddr) -> PathBuf {
    if let Some(path) = address.as_pathname() {
        return path.to_owned();
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Some(name) = address.as_abstract_namespace() {
        return format!("@{}", String::from_utf8_lossy(name)).into();
    }
    PathBuf::new()
}

fn set_options(socket: &SockRef<'_>, stall_timeout: Option<Duration>) -> io::Result<()> {
    // A session writes whole batches, so there is nothing to be gained by waiting for more.
    socket.set_tcp_nodelay(true)?;
    // Otherwise the kernel holds megabytes for a client that never reads.
    socket.set_send_buffer_size(SEND_BUF_LEN)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_notsent_lowat(UNSENT_MAX)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Some(timeout) = stall_timeout {
        let timeout = timeout.saturating_add(USER_TIMEOUT_MARGIN);
        socket.set_tcp_user_timeout(Some(timeout.min(USER_TIMEOUT_MAX)))?;
    }
    // A client that vanished in silence is found out.
    socket.set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(KEEPALIVE_TIME)
            .with_interval(KEEPALIVE_INTERVAL)
            .with_retries(KEEPALIVE_COUNT),
    )
}

/// How many clients that have connected may wait to be accepted: as many as the system allows
/// (`net.core.somaxconn`, 4096 unless somebody changed it). The rest try again after a second, as
/// the system of each sees to it.
const QUEUE_LEN: i32 = i32::MAX;

/// Length in bytes that is asked for as a socket's send buffer; the kernel takes twice that, for
/// its bookkeeping. Measured on a client that floods ten others, with reads of 256 KiB: 128 KiB
/// cost a half more processor time, 512 KiB and 1 MiB gain nothing. It is as much as an
/// unprivileged program gets where `net.core.wmem_max` is what the kernel sets it to.
const SEND_BUF_LEN: usize = 208 * 1024;

/// How many bytes a socket takes that cannot be sent yet, since the client or the network has no
/// room for them: the log holds them once for all clients, a socket for its client alone. Measured:
/// for a client that never reads the kernel holds 90 KiB instead of 416, so it is found out
/// sooner, and 200 of them cost nobody anything where the kernel has 64 MiB for all sockets;
/// nobody is slower, down to 16 KiB. A fast network wants some, so that it has something to send
/// until the server has its turn.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT_MAX: u32 = 64 * 1024;

/// After what time without traffic a client is asked for a sign of life, after what time again, and
/// how often. A judgement: a minute costs nothing, and a network may be away for a minute. So the
/// descriptor of a vanished client is free within three.
const KEEPALIVE_TIME: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_COUNT: u32 = 6;

/// How much later than the server the system gives a client up that takes nothing. A judgement: the
/// server tells why.
#[cfg(any(target_os = "linux", target_os = "android"))]
const USER_TIMEOUT_MARGIN: Duration = Duration::from_secs(60);

/// The longest time that the system takes for that: it counts milliseconds in an `int`, and has 24 days
/// in it.
#[cfg(any(target_os = "linux", target_os = "android"))]
const USER_TIMEOUT_MAX: Duration = Duration::from_millis(i32::MAX as u64);

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpStream};

    use async_io::block_on;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(7);

    #[track_caller]
    fn assert_has_options(socket: &SockRef<'_>, send_buf_len: usize) {
        assert!(socket.tcp_nodelay().unwrap());
        assert_eq!(socket.send_buffer_size().unwrap(), send_buf_len);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE_TIME);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), KEEPALIVE_INTERVAL);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), KEEPALIVE_COUNT);
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), UNSENT_MAX);
        let user_timeout = socket.tcp_user_timeout().unwrap();
        assert_eq!(user_timeout, Some(TIMEOUT + USER_TIMEOUT_MARGIN));
    }

    #[test]
    fn the_sockets_of_clients_have_the_options() {
        let listener = listen((Ipv4Addr::LOCALHOST, 0).into(), Some(TIMEOUT)).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let set = SockRef::from(&listener).send_buffer_size().unwrap();
        assert_has_options(&SockRef::from(&accepted), set);
        let patient = listen((Ipv4Addr::LOCALHOST, 0).into(), None).unwrap();
        assert_eq!(SockRef::from(&patient).tcp_user_timeout().unwrap(), None);
    }

    #[test]
    fn so_have_those_that_connected_before_it_was_handed_over() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let adopted = Listener::adopt_tcp(listener, Some(TIMEOUT)).unwrap();
        let Listener::HandedOver(handed) = adopted else {
            panic!("it was handed over");
        };
        let set = SockRef::from(&handed.listener).send_buffer_size().unwrap();
        assert_has_options(&SockRef::from(&handed.listener), set);
        let (accepted, _) = block_on(Accept::accept(&handed)).unwrap();
        assert_has_options(&SockRef::from(&accepted), set);
    }
}
