//! The history of typed lines, in a file.

use std::env;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{Editor, Helper};

/// The file of the history. After the first failure it is left alone.
#[derive(Debug)]
pub(super) struct HistoryFile {
    path: Option<PathBuf>,
}

/// Returns where the history is kept: `$XDG_STATE_HOME/commandline-client/history`, and without the
/// variable under `~/.local/state`. Source: XDG Base Directory Specification 0.8.
pub(super) fn default_path() -> Option<PathBuf> {
    let absolute = |path: PathBuf| path.is_absolute().then_some(path);
    let of_variable = |name| env::var_os(name).map(PathBuf::from).and_then(absolute);
    let state = of_variable("XDG_STATE_HOME");
    let state = state.or_else(|| Some(of_variable("HOME")?.join(".local/state")))?;
    Some(state.join("commandline-client/history"))
}

impl HistoryFile {
    /// Reads the history. Returns a warning if that or keeping it is impossible.
    pub(super) fn load<H: Helper>(
        path: Option<&Path>,
        editor: &mut Editor<H, DefaultHistory>,
    ) -> (Self, Option<String>) {
        let mut file = Self {
            path: path.map(Path::to_owned),
        };
        let result = path.map_or(Ok(()), |path| prepare(path, editor));
        let warning = result.err().and_then(|error| file.fail(&error));
        (file, warning)
    }

    /// Adds the line that was typed last. Returns a warning the first time that this is impossible.
    pub(super) fn append<H: Helper>(
        &mut self,
        editor: &mut Editor<H, DefaultHistory>,
    ) -> Option<String> {
        let path = self.path.as_ref()?;
        let error = editor.append_history(path).err()?;
        self.fail(&error)
    }

    fn fail(&mut self, error: &ReadlineError) -> Option<String> {
        let path = self.path.take()?;
        Some(format!(
            "the history is not kept in {}: {error}",
            path.display()
        ))
    }
}

/// Makes sure that the file can be written, and reads it.
fn prepare<H: Helper>(
    path: &Path,
    editor: &mut Editor<H, DefaultHistory>,
) -> Result<(), ReadlineError> {
    if let Some(directory) = path.parent() {
        // As the specification wants it.
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
    }
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => Err(io::Error::other("it is not a file").into()),
        Ok(_) => {
            // What cannot be written is told now, not at the end of the first line.
            drop(fs::OpenOptions::new().append(true).open(path)?);
            editor.load_history(path)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.into()),
    }
}
