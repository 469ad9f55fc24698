//! The verdict on a recording.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use chat_results::Verdict;
use chat_trace::Conviction;
use chat_trace::recording::{Reader, RecordingError};

/// Repeats the verdict on what [`Run::with_record`](crate::Run::with_record) has recorded, without
/// the server. Tells `on_kept` of each repetition that kept the promise.
///
/// # Errors
///
/// When it is no recording, when the promise was broken, when a repetition did not come to its end,
/// and when `on_kept` fails.
pub fn recheck(
    recording: impl Read,
    mut on_kept: impl FnMut(&Rechecked) -> io::Result<()>,
) -> Result<(), RecheckError> {
    let mut recording = Reader::begin(recording)?;
    let mut are_complete = true;
    while let Some(evidence) = recording.next_repetition()? {
        let iteration = evidence.iteration();
        evidence
            .verdict()
            .map_err(|conviction| RecheckError::Broken {
                iteration,
                conviction,
            })?;
        are_complete &= evidence.is_complete();
        on_kept(&Rechecked {
            iteration,
            messages: evidence.sent().message_count(),
            deliveries: evidence.recorded_count(),
            is_complete: evidence.is_complete(),
        })?;
    }
    if are_complete {
        Ok(())
    } else {
        Err(RecheckError::Incomplete)
    }
}

/// Does the same with a recording in a file.
///
/// # Errors
///
/// As [`recheck`], and when the file cannot be opened.
pub fn recheck_file(
    path: &Path,
    on_kept: impl FnMut(&Rechecked) -> io::Result<()>,
) -> Result<(), RecheckError> {
    let file = File::open(path).map_err(RecordingError::Read)?;
    recheck(BufReader::with_capacity(BUF_LEN, file), on_kept)
}

/// A repetition that kept the promise. Displayed, it is a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rechecked {
    /// Which repetition it is.
    pub iteration: u16,
    /// How many messages were sent.
    pub messages: u32,
    /// How many deliveries there were.
    pub deliveries: u64,
    /// Whether it came to its end.
    pub is_complete: bool,
}

impl fmt::Display for Rechecked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            iteration,
            messages,
            deliveries,
            is_complete,
        } = self;
        let end = if *is_complete {
            ""
        } else {
            ", but it did not come to its end"
        };
        write!(
            f,
            "iteration {iteration}: one order of {messages} messages explains all of {deliveries} deliveries{end}"
        )
    }
}

/// Why a recording did not pass.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecheckError {
    /// It cannot be read.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// The promise was broken.
    #[error("iteration {iteration}: {conviction}")]
    Broken {
        /// Which repetition it was.
        iteration: u16,
        /// How it was broken.
        conviction: Conviction,
    },
    /// Not all of what was sent is accounted for.
    #[error("a repetition did not come to its end, and only the run could tell why")]
    Incomplete,
    /// What was found could not be printed.
    #[error("cannot print: {0}")]
    Print(#[from] io::Error),
}

impl RecheckError {
    /// Returns what the recording comes to.
    pub fn verdict(&self) -> Verdict {
        let why = self.to_string();
        match self {
            Self::Broken { .. } => Verdict::Broken { why },
            Self::Incomplete => Verdict::Inconclusive { why },
            Self::Recording(_) | Self::Print(_) => Verdict::Stopped { why },
        }
    }
}

/// Length of the buffer in bytes. A judgement: recordings are long.
const BUF_LEN: usize = 1 << 20;
