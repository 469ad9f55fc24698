//! The sending side: lines of the input, messages to the server.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::sync::Arc;

use chat_proto::Messages;
use rustix::event::{PollFd, PollFlags, poll};

use super::Options;
use super::flight::Flight;
use crate::{Batch, Lines, RefusedLine};

/// The sending side of a connection.
pub(super) struct Input<I, R> {
    stream: Arc<TcpStream>,
    flight: Arc<Flight>,
    input: I,
    lines: Lines,
    refuse: R,
}

/// Says why not all of the input was sent.
#[derive(Debug)]
pub(super) enum InputError {
    Input(io::Error),
    Stream(io::Error),
}

impl<I: Read + AsFd, R: FnMut(RefusedLine)> Input<I, R> {
    pub(super) fn new(
        stream: Arc<TcpStream>,
        flight: Arc<Flight>,
        input: I,
        options: &Options,
        refuse: R,
    ) -> Self {
        let lines = Lines::new(options.framing);
        Self {
            stream,
            flight,
            input,
            lines: if options.is_splitting {
                lines.splitting()
            } else {
                lines
            },
            refuse,
        }
    }

    /// Sends each line of the input, until it ends. What one read returned is sent before the next,
    /// so no whole line waits for more to come. A line that a failure of the input cut is not sent.
    pub(super) fn run(mut self) -> Result<(), InputError> {
        let mut buf = vec![0; INPUT_BUF_LEN];
        let mut batch = Batch::default();
        loop {
            let len = self.read(&mut buf).map_err(InputError::Input)?;
            if len == 0 {
                break;
            }
            self.lines.push(&buf[..len], &mut batch);
            send(&self.stream, &self.flight, &mut batch, &mut self.refuse)?;
        }
        self.lines.finish(&mut batch);
        send(&self.stream, &self.flight, &mut batch, &mut self.refuse)
    }

    /// Reads, and waits for an input that does not block.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.input.read(buf) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    wait(&self.input, PollFlags::IN);
                }
                read => return read,
            }
        }
    }
}

/// Sends a batch, and empties it.
fn send(
    mut stream: &TcpStream,
    flight: &Flight,
    batch: &mut Batch,
    refuse: &mut impl FnMut(RefusedLine),
) -> Result<(), InputError> {
    flight.refuse(batch.refused.len());
    batch.refused.drain(..).for_each(refuse);
    let mut messages = Messages::from_parts(&batch.wire, batch.count as usize);
    while !messages.is_empty() {
        let part = messages.take_len(PART_LEN);
        let bytes = part.as_bytes();
        flight.send(part);
        stream.write_all(bytes).map_err(InputError::Stream)?;
    }
    batch.wire.clear();
    batch.count = 0;
    Ok(())
}

/// Waits until something that does not block can be read or written.
pub(super) fn wait(fd: &impl AsFd, flags: PollFlags) {
    // Where it fails, the next try does.
    let _ = poll(&mut [PollFd::new(fd, flags)], None);
}

/// Length in bytes of one read of the input: what a pipe holds by default on Linux (pipe(7), "Pipe
/// capacity"), so that more would not be read at once.
const INPUT_BUF_LEN: usize = 64 * 1024;

/// How many bytes are sent at once, so that a window has room for several times as many.
const PART_LEN: usize = 64 * 1024;
