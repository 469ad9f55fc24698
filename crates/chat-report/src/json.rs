//! The results as JSON.

use std::io;
use std::path::Path;

use chat_results::Results;

use crate::atomic_file::Draft;

/// Writes the results to a file. `schema/results.json` of chat-results describes it.
pub fn write(path: &Path, results: &Results) -> io::Result<()> {
    let mut text = serde_json::to_string_pretty(results)?;
    // A figure that is no number can be written and not read, and this is the time to tell.
    serde_json::from_str::<Results>(&text)?;
    text.push('\n');
    Draft::write(path, text.as_bytes())
}
