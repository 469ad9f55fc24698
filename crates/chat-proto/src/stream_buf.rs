//! The buffers between messages and a stream.

use std::{boxed::Box, vec};

use crate::MESSAGE_LEN_MAX;

/// Makes a buffer of `len` bytes, or as long as the longest message if that is more.
pub(crate) fn stream_buf(len: usize) -> Box<[u8]> {
    vec![0; len.max(MESSAGE_LEN_MAX)].into()
}

/// Length in bytes of a buffer by default: that of the buffers in the standard library.
pub(crate) const STREAM_BUF_LEN: usize = 8 * 1024;
