//! The options of a client's socket.

use std::io;
use std::time::Duration;

use async_std::net::TcpStream;
use socket2::{SockRef, TcpKeepalive};

/// Sets up the socket of a client that has just connected.
pub(crate) fn configure(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    // A session writes whole batches, so there is nothing to be gained by waiting for more.
    socket.set_tcp_nodelay(true)?;
    // Otherwise a client that never reads makes the kernel hold megabytes for it, and some hundreds of them all the memory it has for TCP.
    socket.set_send_buffer_size(SEND_BUF_LEN)?;
    // A client that vanished in silence is found out.
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE_TIME).with_interval(KEEPALIVE_INTERVAL))
}

/// Length in bytes that is asked for as a socket's send buffer; the kernel takes twice that, for its bookkeeping.
const SEND_BUF_LEN: usize = 128 * 1024;

/// After what time without traffic a client is asked for a sign of life, and how often. A judgement: a minute costs nothing, and frees
/// the descriptor of a vanished client within about twelve.
const KEEPALIVE_TIME: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(60);
