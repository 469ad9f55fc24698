//! The receiving side: messages from the server, lines of the output.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant, SystemTime};

use chat_proto::blocking::Reader;
use chat_proto::{ReadError, Unfinished};

use super::flight::Flight;
use super::{End, Options};
use crate::{Form, Stream, patient};

/// The receiving side of a connection.
pub(super) struct Output<'a, O> {
    reader: Reader<&'a Stream>,
    flight: &'a Flight,
    output: O,
    form: Option<Form>,
    is_timed: bool,
    /// How many messages are still to be received.
    left: Option<u64>,
    wait: Option<Duration>,
}

/// Says why the receiving side ended before its time.
#[derive(Debug)]
pub(super) enum OutputError {
    Stream(io::Error),
    Cut(Unfinished),
    Output(io::Error),
}

impl<'a, O: Write + AsFd> Output<'a, O> {
    pub(super) fn new(
        stream: &'a Stream,
        flight: &'a Flight,
        output: O,
        options: &Options,
    ) -> Self {
        Self {
            reader: Reader::with_buf_len(stream, STREAM_BUF_LEN),
            flight,
            output,
            form: options.form,
            is_timed: options.is_timed,
            left: options.count,
            wait: options.wait,
        }
    }

    /// Prints each message as a line, until there are no more. What one read returned is printed
    /// before the next, so whole messages are out before any failure is told.
    pub(super) fn run(mut self) -> Result<End, OutputError> {
        // With no time left at all, the system would wait for ever.
        let timeout = self.wait.map(|wait| wait.max(Duration::from_millis(1)));
        let set = self.reader.stream().set_read_timeout(timeout);
        set.map_err(OutputError::Stream)?;
        let mut text = Vec::new();
        while self.left != Some(0) {
            text.clear();
            if let Some(end) = self.receive(&mut text)? {
                return Ok(end);
            }
            let start = Instant::now();
            patient::write_all(&mut self.output, &text).map_err(OutputError::Output)?;
            self.flight.receive_on(start.elapsed());
        }
        Ok(End::Enough)
    }

    /// Waits for messages and adds their lines to `text`, or returns how it ended.
    fn receive(&mut self, text: &mut Vec<u8>) -> Result<Option<End>, OutputError> {
        let messages = match self.reader.next_messages() {
            Ok(messages) if messages.is_empty() => return Ok(Some(End::Closed)),
            Ok(messages) => messages,
            Err(ReadError::Io(error)) if is_timeout(&error) => {
                let is_quiet = self
                    .wait
                    .is_some_and(|wait| self.flight.has_input_ended_for(wait));
                return Ok(is_quiet.then_some(End::Quiet));
            }
            Err(ReadError::Io(error)) => return Err(OutputError::Stream(error)),
            Err(ReadError::Unfinished(cause)) => return Err(OutputError::Cut(cause)),
        };
        self.flight.receive(&messages);
        let left = self
            .left
            .map_or(usize::MAX, |left| left.try_into().unwrap_or(usize::MAX));
        let arrived = SystemTime::now();
        let time = self
            .is_timed
            .then(|| format!("{} ", humantime::format_rfc3339_millis(arrived)));
        let mut count = 0;
        for body in messages.iter().take(left) {
            if let Some(form) = self.form {
                text.extend_from_slice(time.as_deref().unwrap_or_default().as_bytes());
                form.append(body, arrived, text);
            }
            count += 1;
        }
        self.left = self.left.map(|left| left - count);
        Ok(None)
    }
}

fn is_timeout(error: &io::Error) -> bool {
    use io::ErrorKind::{TimedOut, WouldBlock};
    matches!(error.kind(), TimedOut | WouldBlock)
}

/// Length in bytes of one read of the stream. A judgement: a write of the output is about as large,
/// and so fits a pipe.
const STREAM_BUF_LEN: usize = 64 * 1024;
