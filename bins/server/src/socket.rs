//! A client's socket.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_std::io::{Read, Write};
use async_std::net::TcpStream;
use socket2::{SockRef, TcpKeepalive};

/// The socket of a client, set up for a session.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
}

impl Socket {
    /// Sets up the socket of a client that has just connected.
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        let socket = SockRef::from(&stream);
        // A session writes whole batches, so there is nothing to be gained by waiting for more.
        socket.set_tcp_nodelay(true)?;
        // Otherwise the kernel holds megabytes for a client that never reads, and for some hundreds
        // of them all it has for TCP.
        socket.set_send_buffer_size(SEND_BUF_LEN)?;
        // A client that vanished in silence is found out.
        socket.set_tcp_keepalive(
            &TcpKeepalive::new()
                .with_time(KEEPALIVE_TIME)
                .with_interval(KEEPALIVE_INTERVAL),
        )?;
        Ok(Self { stream })
    }
}

impl Read for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl Write for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    /// Ends the sending side, so that the client sees the end. A stream of async-std does that only
    /// when it is dropped.
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.stream.shutdown(Shutdown::Write) {
            // The client is gone already; there is nobody to see the end.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            result => Poll::Ready(result),
        }
    }
}

/// Length in bytes that is asked for as a socket's send buffer; the kernel takes twice that, for
/// its bookkeeping. Measured on a client that floods ten others, with reads of 256 KiB: 128 KiB
/// cost a half more processor time, 512 KiB and 1 MiB gain nothing. It is as much as an
/// unprivileged program gets where `net.core.wmem_max` is what the kernel sets it to.
const SEND_BUF_LEN: usize = 208 * 1024;

/// After what time without traffic a client is asked for a sign of life, and how often. A
/// judgement: a minute costs nothing, and frees the descriptor of a vanished client within about
/// twelve.
const KEEPALIVE_TIME: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(60);
