//! Records all that a verdict needs.

use std::io::{self, Write};

use chat_trace::{Topology, Trace, recording};

/// Records the repetitions.
pub(crate) struct Recorder<'a> {
    /// The first error ends the recording, and is told at the end.
    writer: io::Result<recording::Writer<&'a mut dyn Write>>,
}

impl<'a> Recorder<'a> {
    /// Begins a recording of clients like these.
    pub(crate) fn begin(out: &'a mut dyn Write, topology: Topology) -> Self {
        let writer = recording::Writer::begin(out, topology);
        Self { writer }
    }

    /// Adds a repetition.
    pub(crate) fn add(&mut self, trace: &Trace) {
        if let Ok(writer) = &mut self.writer
            && let Err(error) = writer.add(trace.evidence())
        {
            self.writer = Err(error);
        }
    }

    /// Ends the recording, and returns what went wrong.
    pub(crate) fn end(self) -> Option<io::Error> {
        self.writer.and_then(recording::Writer::end).err()
    }
}

impl std::fmt::Debug for Recorder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}
