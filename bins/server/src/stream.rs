//! What clients are connected by: TCP, or a Unix socket.

#[cfg(feature = "tls")]
use std::future::Future;
use std::io;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use async_io::Async;
use async_std::net::TcpStream;
use futures::io::{AsyncRead, AsyncWrite};
#[cfg(feature = "tls")]
use rustix::net::{RecvFlags, recv};

/// A connection as the system has it.
pub(crate) trait Stream:
    AsyncRead + AsyncWrite + AsFd + Unpin + Send + Sync + 'static
{
    /// Ends one of its sides, or both.
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;

    /// Waits until there is something to read, and copies it without reading it.
    #[cfg(feature = "tls")]
    fn peek(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send;

    /// Has the system say that the socket takes more only when it has sent everything, where
    /// something can be lost on the way.
    fn await_sent(&self) -> io::Result<()>;
}

impl Stream for TcpStream {
    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        TcpStream::shutdown(self, how)
    }

    #[cfg(feature = "tls")]
    fn peek(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send {
        TcpStream::peek(self, buf)
    }

    fn await_sent(&self) -> io::Result<()> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        socket2::SockRef::from(self).set_tcp_notsent_lowat(1)?;
        Ok(())
    }
}

/// With a Unix socket, what was written is in the client's own buffer at once.
impl Stream for Async<UnixStream> {
    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.get_ref().shutdown(how)
    }

    #[cfg(feature = "tls")]
    async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_with(|stream| {
            let (len, _) = recv(stream, &mut *buf, RecvFlags::PEEK)?;
            Ok(len)
        })
        .await
    }

    fn await_sent(&self) -> io::Result<()> {
        Ok(())
    }
}
