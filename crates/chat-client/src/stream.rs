//! A connection to a server, plain or over TLS.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

#[cfg(feature = "tls")]
use crate::tls::TlsSession;

/// A connection to a server, plain or over TLS.
///
/// It blocks. Two threads can use it at the same time, one to read and one to write: like a socket,
/// it is read and written through a shared reference.
///
/// # Examples
///
/// ```
/// use std::io::{Read, Write};
/// use std::net::{TcpListener, TcpStream};
/// use chat_client::Stream;
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let stream = Stream::from(TcpStream::connect(listener.local_addr()?)?);
/// let (mut server, _) = listener.accept()?;
/// (&stream).write_all(b"\x02hi")?;
/// stream.end_sending()?;
/// let mut received = Vec::new();
/// server.read_to_end(&mut received)?;
/// assert_eq!(received, b"\x02hi");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Stream {
    socket: TcpStream,
    #[cfg(feature = "tls")]
    session: Option<Box<TlsSession>>,
}

impl Stream {
    #[cfg(feature = "tls")]
    pub(crate) fn over_tls(socket: TcpStream, session: TlsSession) -> Self {
        Self {
            socket,
            session: Some(Box::new(session)),
        }
    }

    /// Returns the socket. What is read from it or written to it directly is missing in the stream.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Sets how long a read waits at most; with `None`, for ever.
    ///
    /// # Errors
    ///
    /// When the time is zero.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket.set_read_timeout(timeout)
    }

    /// Ends the sending side, so that the server sees the end of what is sent.
    ///
    /// # Errors
    ///
    /// When the connection is gone.
    pub fn end_sending(&self) -> io::Result<()> {
        #[cfg(feature = "tls")]
        if let Some(session) = &self.session {
            session.end_sending(&self.socket)?;
        }
        self.socket.shutdown(Shutdown::Write)
    }

    /// Ends both sides, which the other thread finds out.
    pub fn break_off(&self) {
        // It fails when the connection is gone.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

impl From<TcpStream> for Stream {
    /// Makes a plain one.
    fn from(socket: TcpStream) -> Self {
        Self {
            socket,
            #[cfg(feature = "tls")]
            session: None,
        }
    }
}

impl Read for &Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        #[cfg(feature = "tls")]
        if let Some(session) = &self.session {
            return session.read(&self.socket, buf);
        }
        (&self.socket).read(buf)
    }
}

impl Write for &Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        #[cfg(feature = "tls")]
        if let Some(session) = &self.session {
            return session.write(&self.socket, buf);
        }
        (&self.socket).write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
