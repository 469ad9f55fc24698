//! A socket with a deadline on everything, which keeps what goes through it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chat_target::Interrupt;

use crate::story::Transcript;

/// How long anything may take, and what ends it earlier.
#[derive(Clone, Debug)]
pub(crate) struct Patience {
    pub(crate) time: Duration,
    pub(crate) interrupt: Interrupt,
}

impl Patience {
    /// Begins to wait.
    pub(crate) fn begin(&self) -> Deadline {
        Deadline(Instant::now() + self.time)
    }

    /// Tells whether waiting is over.
    pub(crate) fn is_over(&self, deadline: Deadline) -> bool {
        Instant::now() >= deadline.0 || self.interrupt.is_interrupted()
    }
}

/// The time until which something may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Instant);

/// One side of a connection, for reading or for writing.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    patience: Patience,
    /// When what is under way has to be done.
    deadline: Deadline,
    pub(crate) transcript: Arc<Transcript>,
}

impl Wire {
    /// Connects to `addr`.
    pub(crate) fn connect(
        addr: SocketAddr,
        patience: &Patience,
        transcript: Arc<Transcript>,
    ) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&addr, patience.time)?;
        Self::of(stream, patience, transcript)
    }

    /// Makes one of a connection.
    pub(crate) fn of(
        stream: TcpStream,
        patience: &Patience,
        transcript: Arc<Transcript>,
    ) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SLICE))?;
        stream.set_write_timeout(Some(SLICE))?;
        Ok(Self {
            stream,
            deadline: patience.begin(),
            patience: patience.clone(),
            transcript,
        })
    }

    /// Returns another handle of the same connection.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            stream: self.stream.try_clone()?,
            deadline: self.deadline,
            patience: self.patience.clone(),
            transcript: Arc::clone(&self.transcript),
        })
    }

    /// Begins something that has all the time there is.
    pub(crate) fn begin(&mut self) {
        self.deadline = self.patience.begin();
    }

    /// Repeats an operation that had no time, until the deadline.
    fn retry(
        &mut self,
        mut operate: impl FnMut(&TcpStream) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            match operate(&self.stream) {
                Err(error) if is_retried(error.kind()) => {
                    if self.patience.is_over(self.deadline) {
                        return Err(ErrorKind::TimedOut.into());
                    }
                }
                done => return done,
            }
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.patience.is_over(self.deadline) {
            // A server that sends for ever must not keep a case for ever.
            return Err(ErrorKind::TimedOut.into());
        }
        let len = self.retry(|mut stream| stream.read(buf))?;
        self.transcript.received().push(&buf[..len]);
        Ok(len)
    }
}

impl Write for Wire {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.patience.is_over(self.deadline) {
            // Nor must one that takes for ever, or a little at a time.
            return Err(ErrorKind::TimedOut.into());
        }
        let len = self.retry(|mut stream| stream.write(buf))?;
        self.transcript.sent().push(&buf[..len]);
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is_retried(kind: ErrorKind) -> bool {
    // A timeout of a socket is one or the other.
    matches!(
        kind,
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

/// How often something that waits looks whether it should go on. A judgement: nobody notices.
const SLICE: Duration = Duration::from_millis(100);
