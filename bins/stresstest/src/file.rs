//! Files that are there as a whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// A file that is being written, beside the place where it is to be. Nothing is left of one that is dropped before it is kept.
///
/// What is no file, as a terminal or a pipe, is written to as it is.
#[derive(Debug)]
pub(crate) struct Draft {
    /// Where it is now, and where it is to be. `None` for what is written to in its place.
    temporary: Option<(PathBuf, PathBuf)>,
    out: Option<BufWriter<File>>,
}

impl Draft {
    /// Begins a file that is to be at `path`, in place of what may be there.
    pub(crate) fn begin(path: &Path) -> io::Result<Self> {
        if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            return Ok(Self::new(None, OpenOptions::new().write(true).open(path)?));
        }
        // A link stays one, and what it leads to is replaced.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it is no name of a file"))?;
        let mut temporary_name = OsString::from(".");
        temporary_name.push(name);
        temporary_name.push(format!(".{}", std::process::id()));
        let temporary = path.with_file_name(temporary_name);
        let file = File::create(&temporary)?;
        Ok(Self::new(Some((temporary, path)), file))
    }

    /// Puts the file in its place.
    pub(crate) fn keep(mut self) -> io::Result<()> {
        if let Some(out) = self.out.take() {
            let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
            if self.temporary.is_some() {
                file.sync_all()?;
            }
        }
        self.temporary.as_ref().map_or(Ok(()), |(temporary, path)| fs::rename(temporary, path))
    }

    /// Writes a whole file.
    pub(crate) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
        let mut draft = Self::begin(path)?;
        draft.write_all(content)?;
        draft.keep()
    }

    fn new(temporary: Option<(PathBuf, PathBuf)>, file: File) -> Self {
        Self { temporary, out: Some(BufWriter::with_capacity(BUF_LEN, file)) }
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
        if let Some((temporary, _)) = &self.temporary {
            // Once kept it has another name, and there is nothing to remove.
            let _ = fs::remove_file(temporary);
        }
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

    #[test]
    fn what_is_no_file_is_written_to_and_stays_what_it_is() {
        Draft::write(Path::new("/dev/null"), b"all of it").unwrap();
        let full = Draft::write(Path::new("/dev/full"), b"all of it").unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        assert!(["/dev/null", "/dev/full"].iter().all(|path| !fs::metadata(path).unwrap().is_file()));
    }

    #[test]
    fn a_link_stays_a_link() {
        let dir = std::env::temp_dir().join(format!("stresstest-{}-link", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("old"), b"").unwrap();
        std::os::unix::fs::symlink("old", dir.join("results")).unwrap();
        Draft::write(&dir.join("results"), b"all of it").unwrap();
        assert!(fs::symlink_metadata(dir.join("results")).unwrap().is_symlink());
        assert_eq!(fs::read(dir.join("old")).unwrap(), b"all of it");
        fs::remove_dir_all(&dir).unwrap();
    }
}
