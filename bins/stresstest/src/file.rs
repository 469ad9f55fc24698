//! Files that are there as a whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// A file that is being written, beside the place where it is to be. Nothing is left of one that is dropped before it is kept.
#[derive(Debug)]
pub(crate) struct Draft {
    path: PathBuf,
    temporary: PathBuf,
    out: Option<BufWriter<File>>,
}

impl Draft {
    /// Begins a file that is to be at `path`, in place of what may be there.
    pub(crate) fn begin(path: &Path) -> io::Result<Self> {
        let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it is no name of a file"))?;
        let mut temporary_name = std::ffi::OsString::from(".");
        temporary_name.push(name);
        temporary_name.push(format!(".{}", std::process::id()));
        let temporary = path.with_file_name(temporary_name);
        let out = Some(BufWriter::with_capacity(BUF_LEN, File::create(&temporary)?));
        Ok(Self { path: path.to_owned(), temporary, out })
    }

    /// Puts the file in its place.
    pub(crate) fn keep(mut self) -> io::Result<()> {
        if let Some(out) = self.out.take() {
            let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.sync_all()?;
        }
        fs::rename(&self.temporary, &self.path)
    }

    /// Writes a whole file.
    pub(crate) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
        let mut draft = Self::begin(path)?;
        draft.write_all(content)?;
        draft.keep()
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.as_mut().map_or(Ok(0), |out| out.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Once kept it has another name, and there is nothing to remove.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// Length of the buffer in bytes. A judgement: some files are long.
const BUF_LEN: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the names in a directory of its own, in which a file was begun, written to, and kept or not.
    fn names_after(test: &str, is_kept: bool) -> Vec<String> {
        let dir = std::env::temp_dir().join(format!("stresstest-{}-{test}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let mut draft = Draft::begin(&dir.join("results")).unwrap();
        draft.write_all(b"all of it").unwrap();
        if is_kept {
            draft.keep().unwrap();
            assert_eq!(fs::read(dir.join("results")).unwrap(), b"all of it");
        } else {
            drop(draft);
        }
        let names = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        fs::remove_dir_all(&dir).unwrap();
        names
    }

    #[test]
    fn a_file_is_there_as_a_whole_or_not_at_all() {
        assert_eq!(names_after("kept", true), ["results"]);
        assert!(names_after("dropped", false).is_empty());
    }
}
