//! The sending side: lines from the input, messages to the server.

use std::io::{self, Read, Write};

use chat_proto::BODY_LEN_MAX;

use crate::{
    lines::{Batch, Lines},
    report::Report,
};

/// Sends each line of `input` as a message, and reports lines that are too long, until the input
/// ends.
///
/// What one read returned is sent before the next, so no whole line waits for input to come. An
/// input that fails is reported and has ended; the line that the failure cut is not sent.
///
/// # Errors
///
/// When `stream` fails.
pub(crate) fn send(
    mut input: impl Read,
    mut stream: impl Write,
    report: &Report,
) -> io::Result<()> {
    let mut buf = vec![0; INPUT_BUF_LEN];
    let mut batch = Batch::default();
    let mut lines = Lines::new();
    loop {
        match input.read(&mut buf) {
            Ok(0) => break,
            Ok(len) => lines.push(&buf[..len], &mut batch),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                report.error(&InputError(error));
                return Ok(());
            }
        }
        send_batch(&mut batch, &mut stream, report)?;
    }
    lines.finish(&mut batch);
    send_batch(&mut batch, &mut stream, report)
}

fn send_batch(batch: &mut Batch, stream: &mut impl Write, report: &Report) -> io::Result<()> {
    for line in batch.refused.drain(..) {
        report.error(&line);
    }
    debug_assert!(batch.wire.len() <= BATCH_LEN_MAX);
    stream.write_all(&batch.wire)?;
    batch.wire.clear();
    Ok(())
}

/// Says that the input failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot read standard input: {0}")]
struct InputError(#[source] io::Error);

/// Length in bytes of one read of the input: what a pipe holds by default on Linux, so that more
/// would not be read at once.
///
/// Source: pipe(7), "Pipe capacity".
const INPUT_BUF_LEN: usize = 64 * 1024;

/// Length in bytes of the longest batch: one read, and the beginning of a line from the reads
/// before.
const BATCH_LEN_MAX: usize = INPUT_BUF_LEN + BODY_LEN_MAX;
