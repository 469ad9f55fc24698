//! A stream that follows a script: takes or gives few bytes at a time, is not ready, is
//! interrupted, fails.
//!
//! The fuzz targets include this file.

use std::io::{self, Read, Write};

/// The answer of a stream to one read or write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It moves at most so many bytes.
    Move(usize),
    Interrupted,
    /// It has nothing to give or take: an error to a blocking caller, a wait to a polling one.
    NotReady,
    Failed,
    /// It takes no byte, and says so as if it had. A reader is given one byte: none would be the
    /// end.
    Zero,
}

impl Step {
    /// Makes the step that a byte of a fuzzer's input stands for.
    pub(crate) fn from_byte(byte: u8) -> Self {
        match byte {
            250 => Self::Interrupted,
            251 | 252 => Self::NotReady,
            253 => Self::Failed,
            254 => Self::Zero,
            // Some pieces as long as buffers are.
            200..250 => Self::Move(usize::from(byte - 199) * 300),
            _ => Self::Move(usize::from(byte) + 1),
        }
    }
}

/// A stream that follows a script, over and over if need be.
#[derive(Debug)]
pub(crate) struct Scripted {
    steps: Vec<Step>,
    next: usize,
    bytes: Vec<u8>,
    /// Up to where `bytes` were read.
    read_len: usize,
}

impl Scripted {
    /// Makes a stream that gives `bytes` and ends.
    pub(crate) fn reader(bytes: &[u8], script: &[Step]) -> Self {
        // Whatever the script says, bytes move some day.
        let steps = [script, &[Step::Move(1)]].concat();
        Self {
            steps,
            next: 0,
            bytes: bytes.to_vec(),
            read_len: 0,
        }
    }

    /// Makes a stream that takes bytes.
    pub(crate) fn writer(script: &[Step]) -> Self {
        Self::reader(&[], script)
    }

    /// Returns the bytes that were written.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn step(&mut self) -> Step {
        let step = self.steps[self.next];
        self.next = (self.next + 1) % self.steps.len();
        step
    }

    fn pass(&mut self, step: Step) -> io::Result<usize> {
        match step {
            Step::Move(len) => Ok(len),
            Step::Interrupted => Err(io::ErrorKind::Interrupted.into()),
            Step::NotReady => Err(io::ErrorKind::WouldBlock.into()),
            Step::Failed => Err(io::ErrorKind::Other.into()),
            Step::Zero => Ok(0),
        }
    }
}

impl Read for Scripted {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let step = self.step();
        let len = self
            .pass(step)?
            .max(1)
            .min(buf.len())
            .min(self.bytes.len() - self.read_len);
        buf[..len].copy_from_slice(&self.bytes[self.read_len..self.read_len + len]);
        self.read_len += len;
        Ok(len)
    }
}

impl Write for Scripted {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let step = self.step();
        let len = self.pass(step)?.min(buf.len());
        self.bytes.extend_from_slice(&buf[..len]);
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.step() {
            Step::Move(_) | Step::Zero => Ok(()),
            step => self.pass(step).map(drop),
        }
    }
}

/// The same for who polls.
#[cfg(any(
    feature = "futures",
    feature = "tokio-util",
    feature = "asynchronous-codec"
))]
mod polled {
    use std::{
        pin::Pin,
        task::{Context, Poll},
    };

    use super::*;

    /// Turns the result of a call that does not block into that of a poll.
    fn poll<T>(cx: &Context<'_>, result: io::Result<T>) -> Poll<io::Result<T>> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            result => Poll::Ready(result),
        }
    }

    impl futures::AsyncRead for Scripted {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            poll(cx, self.read(buf))
        }
    }

    impl futures::AsyncWrite for Scripted {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            poll(cx, self.write(buf))
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            poll(cx, self.flush())
        }

        fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.poll_flush(cx)
        }
    }

    impl tokio::io::AsyncRead for Scripted {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut tokio::io::ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            poll(
                cx,
                self.read(buf.initialize_unfilled())
                    .map(|len| buf.advance(len)),
            )
        }
    }

    impl tokio::io::AsyncWrite for Scripted {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            poll(cx, self.write(buf))
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            poll(cx, self.flush())
        }

        fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            tokio::io::AsyncWrite::poll_flush(self, cx)
        }
    }
}
