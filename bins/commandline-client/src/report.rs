//! What the user is told of failures: sentences on standard error and the exit code.

use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
};

/// The one place that prints errors. Both threads report to it, and the exit code follows from it.
#[derive(Debug, Default)]
pub(crate) struct Report {
    failed: AtomicBool,
}

impl Report {
    /// Prints one line, `error: …`, and makes the exit code 1.
    pub(crate) fn error(&self, error: &dyn Error) {
        // Relaxed: whoever asks for the exit code after the sending thread ended learnt of that
        // through a channel.
        self.failed.store(true, Ordering::Relaxed);
        // In one write, so that lines of two threads do not mix. Nobody is left to be told when
        // standard error is closed.
        let _ = io::stderr().write_all(format!("error: {error}\n").as_bytes());
    }

    /// Returns 0 when nothing was reported, else 1.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(u8::from(self.failed.load(Ordering::Relaxed)))
    }
}
