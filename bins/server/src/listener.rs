//! The socket that clients connect to.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

/// Listens on an address. The sockets of the clients get their options from this one. Where a client
/// may take nothing for `stall_timeout` alone, the system need not wait for one that is gone, either.
pub(crate) fn listen(
    address: SocketAddr,
    stall_timeout: Option<Duration>,
) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // Connections of a server that has just ended do not keep the next one from its port.
    socket.set_reuse_address(true)?;
    set_options(&SockRef::from(&socket))?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Some(timeout) = stall_timeout {
        socket.set_tcp_user_timeout(Some(timeout + USER_TIMEOUT_MARGIN))?;
    }
    socket.bind(&address.into())?;
    socket.listen(QUEUE_LEN)?;
    Ok(socket.into())
}

fn set_options(socket: &SockRef<'_>) -> io::Result<()> {
    // A session writes whole batches, so there is nothing to be gained by waiting for more.
    socket.set_tcp_nodelay(true)?;
    // Otherwise the kernel holds megabytes for a client that never reads.
    socket.set_send_buffer_size(SEND_BUF_LEN)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_notsent_lowat(UNSENT_MAX)?;
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

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpStream};

    use super::*;

    #[test]
    fn the_sockets_of_clients_have_the_options() {
        let timeout = Duration::from_secs(7);
        let listener = listen((Ipv4Addr::LOCALHOST, 0).into(), Some(timeout)).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let socket = SockRef::from(&accepted);
        let set = SockRef::from(&listener).send_buffer_size().unwrap();
        assert!(socket.tcp_nodelay().unwrap());
        assert_eq!(socket.send_buffer_size().unwrap(), set);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE_TIME);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), KEEPALIVE_INTERVAL);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), KEEPALIVE_COUNT);
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), UNSENT_MAX);
        let user_timeout = socket.tcp_user_timeout().unwrap();
        assert_eq!(user_timeout, Some(timeout + USER_TIMEOUT_MARGIN));
        let patient = listen((Ipv4Addr::LOCALHOST, 0).into(), None).unwrap();
        assert_eq!(SockRef::from(&patient).tcp_user_timeout().unwrap(), None);
    }
}
