//! What can go wrong while reading.

use std::io;

use crate::Unfinished;

/// Says why no more messages can be read from a stream. All readers and codecs of this crate return
/// it. There is no other reason.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The stream failed. Nothing that had arrived is lost: reading again goes on where it stopped.
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
