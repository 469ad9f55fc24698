//! The sending side: lines of the input, messages to the server.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;

use chat_proto::Messages;

use super::flight::Flight;
use super::{Notice, Options};
use crate::{Batch, Lines, Stream, patient};

/// The sending side of a connection.
pub(super) struct Input<I, T> {
    stream: Arc<Stream>,
    flight: Arc<Flight>,
    input: I,
    lines: Lines,
    tell: T,
}

/// Says why not all of the input was sent.
#[derive(Debug)]
pub(super) enum InputError {
    Input(io::Error),
    Stream(io::Error),
}

impl<I: Read + AsFd, T: FnMut(Notice)> Input<I, T> {
    pub(super) fn new(
        stream: Arc<Stream>,
        flight: Arc<Flight>,
        input: I,
        options: &Options,
        tell: T,
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
            tell,
        }
    }

    /// Sends each line of the input, until it ends. What one read returned is sent before the next,
    /// so no whole line waits for more to come. A line that a failure of the input cut is not sent.
    pub(super) fn run(mut self) -> Result<(), InputError> {
        let mut buf = vec![0; INPUT_BUF_LEN];
        let mut batch = Batch::default();
        loop {
            let len = patient::read(&mut self.input, &mut buf).map_err(InputError::Input)?;
            if len == 0 {
                break;
            }
            self.lines.push(&buf[..len], &mut batch);
            send(&self.stream, &self.flight, &mut batch, &mut self.tell)?;
        }
        self.lines.finish(&mut batch);
        send(&self.stream, &self.flight, &mut batch, &mut self.tell)
    }
}

/// Sends a batch, and empties it.
fn send(
    mut stream: &Stream,
    flight: &Flight,
    batch: &mut Batch,
    tell: &mut impl FnMut(Notice),
) -> Result<(), InputError> {
    flight.refuse(batch.refused.len());
    batch.refused.drain(..).for_each(|line| tell(line.into()));
    let mut messages = Messages::from_parts(&batch.wire, batch.count as usize);
    while !messages.is_empty() {
        let part = messages.take_len(PART_LEN);
        let bytes = part.as_bytes();
        if let Some(count) = flight.send(part) {
            tell(Notice::Overdue { count });
        }
        stream.write_all(bytes).map_err(InputError::Stream)?;
    }
    batch.wire.clear();
    batch.count = 0;
    Ok(())
}

/// Length in bytes of one read of the input: what a pipe holds by default on Linux (pipe(7), "Pipe
/// capacity"), so that more would not be read at once.
const INPUT_BUF_LEN: usize = 64 * 1024;

/// How many bytes are sent at once, so that a window has room for several times as many.
const PART_LEN: usize = 64 * 1024;
