//! What commands write at their end: files and standard output.

use std::io;
use std::path::{Path, PathBuf};

use chat_report::{is_closed_pipe, tell};

/// Tells on standard error of a file that cannot be written, and returns whether it was written.
pub(crate) fn is_written(path: &Path, written: io::Result<()>) -> bool {
    if let Err(error) = &written {
        tell(format_args!(
            "error: cannot write {}: {error}",
            path.display()
        ));
    }
    written.is_ok()
}

/// Tells on standard error that something cannot be printed, and returns whether it was. That nobody reads
/// standard output any more is no error.
pub(crate) fn is_printed(what: &str, printed: io::Result<()>) -> bool {
    let error = printed.err().filter(|error| !is_closed_pipe(error));
    if let Some(error) = &error {
        tell(format_args!("error: cannot print {what}: {error}"));
    }
    error.is_none()
}

/// Tells whether a file is standard output, which is to have nothing else then.
#[allow(
    clippy::ptr_arg,
    reason = "iterators over the paths of options have this type"
)]
pub(crate) fn is_stdout(path: &PathBuf) -> bool {
    path == Path::new("/dev/stdout")
}
