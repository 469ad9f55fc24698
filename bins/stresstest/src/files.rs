//! Files that commands write at their end.

use std::io;
use std::path::{Path, PathBuf};

use chat_report::tell;

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

/// Tells whether a file is standard output, which is to have nothing else then.
#[allow(
    clippy::ptr_arg,
    reason = "iterators over the paths of options have this type"
)]
pub(crate) fn is_stdout(path: &PathBuf) -> bool {
    path == Path::new("/dev/stdout")
}
