//! The receiving side: messages from the server, lines to the output.

use std::io::{self, Read, Write};

use chat_proto::{ReadError, Unfinished, blocking::Reader};

use crate::print::Form;

/// Prints each message of `stream` as a line, until the stream ends on a message boundary.
///
/// What one read returned is printed and flushed before the next, so whole messages are out before
/// any failure is returned.
///
/// # Errors
///
/// [`ReceiveError`] says which side failed.
pub(crate) fn receive(
    stream: impl Read,
    mut output: impl Write,
    form: Form,
) -> Result<(), ReceiveError> {
    let mut reader = Reader::with_buf_len(stream, STREAM_BUF_LEN);
    let mut text = Vec::new();
    loop {
        let messages = reader.next_messages()?;
        if messages.is_empty() {
            return Ok(());
        }
        for body in messages {
            form.append_line(body, &mut text);
        }
        output
            .write_all(&text)
            .and_then(|()| output.flush())
            .map_err(ReceiveError::Output)?;
        text.clear();
    }
}

/// Says why receiving ended before its time.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReceiveError {
    /// The connection failed.
    #[error("cannot read the stream: {0}")]
    Stream(#[source] io::Error),
    /// The stream ended where it may not.
    #[error(transparent)]
    Unfinished(Unfinished),
    /// The output takes no more.
    #[error("cannot write to standard output: {0}")]
    Output(#[source] io::Error),
}

impl From<ReadError> for ReceiveError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io(error) => Self::Stream(error),
            ReadError::Unfinished(unfinished) => Self::Unfinished(unfinished),
        }
    }
}

/// Length in bytes of one read of the stream. A judgement: a write of the output is about as large,
/// and so fits a pipe.
const STREAM_BUF_LEN: usize = 64 * 1024;
