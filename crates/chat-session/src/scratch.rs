//! The buffer that all sessions of a thread read into.

use std::cell::Cell;

use chat_proto::BODY_LEN_MAX;

/// Calls `read` with a buffer of [`SCRATCH_LEN`] bytes. Its content does not matter, before or
/// after.
///
/// Sessions that wait own no buffer: each thread has one, for the session that is being polled.
pub(crate) fn with<T>(read: impl FnOnce(&mut [u8]) -> T) -> T {
    // A stream that polls a session inside a session's read finds the buffer taken and gets one of
    // its own.
    let mut buf = SCRATCH
        .take()
        .unwrap_or_else(|| vec![0; SCRATCH_LEN].into());
    let result = read(&mut buf);
    SCRATCH.set(Some(buf));
    result
}

thread_local! {
    static SCRATCH: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// How many bytes one read takes at most. Measured: what one read brings is what others are written
/// at a time, so with a quarter of it a client that floods ten others costs a quarter more
/// processor time; with twice as much, a quiet client beside twenty that flood waits nearly twice
/// as long.
pub(crate) const READ_LEN: usize = 128 * 1024;

/// Length of the buffer in bytes: the unfinished message of the read before, and a read.
const SCRATCH_LEN: usize = BODY_LEN_MAX + READ_LEN;
