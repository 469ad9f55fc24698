//! The error of reading messages from a stream.

use std::io;

use crate::Unfinished;

/// Says why no more messages can be read from a stream. All readers and codecs of this crate return
/// it. These are all the reasons there are.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The stream failed. No bytes are lost: reading again goes on where it stopped.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The stream ended inside a message. It stays ended.
    #[error(transparent)]
    Unfinished(#[from] Unfinished),
}

/// An unfinished message becomes [`io::ErrorKind::UnexpectedEof`].
impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io(error) => error,
            ReadError::Unfinished(unfinished) => unfinished.into(),
        }
    }
}
