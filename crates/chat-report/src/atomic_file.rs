//! Files that are there as a whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{OFlags, fcntl_setfl};

/// A file that is being written, beside the place where it is to be. Nothing is left of one that is
/// dropped before it is kept.
///
/// What is no file, as a terminal or a pipe, is written to as it is, and so is what this process
/// has open, as `/dev/stdout`.
#[derive(Debug)]
pub struct Draft {
    /// Where it is now, and where it is to be. `None` for what is written to in its place.
    temporary: Option<(PathBuf, PathBuf)>,
    out: Option<BufWriter<File>>,
}

impl Draft {
    /// Begins a file that is to be at `path`, in place of what may be there.
    pub fn begin(path: &Path) -> io::Result<Self> {
        // A link stays one, and what it leads to is replaced.
        let path = match Place::of(path) {
            Place::File(path) => path,
            Place::Open(path) => return Ok(Self::new(None, open_in_place(&path)?)),
        };
        if path.file_name().is_none() || path.as_os_str().as_bytes().ends_with(b"/") {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        // The name has nothing of the file's own, which may be as long as a name can be.
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let temporary = path.with_file_name(format!(".stresstest-{}-{count}", std::process::id()));
        let file = File::create(&temporary)?;
        Ok(Self::new(Some((temporary, path)), file))
    }

    /// Puts the file in its place.
    pub fn keep(mut self) -> io::Result<()> {
        if let Some(out) = self.out.take() {
            let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
            if self.temporary.is_some() {
                file.sync_all()?;
            }
        }
        self.temporary
            .as_ref()
            .map_or(Ok(()), |(temporary, path)| fs::rename(temporary, path))
    }

    /// Writes a whole file.
    pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
        let mut draft = Self::begin(path)?;
        draft.write_all(content)?;
        draft.keep()
    }

    fn new(temporary: Option<(PathBuf, PathBuf)>, file: File) -> Self {
        Self {
            temporary,
            out: Some(BufWriter::with_capacity(BUF_LEN, file)),
        }
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

/// Finds out whether a file can be written at `path`, and leaves everything as it is.
///
/// A named pipe is not tried: to open it would wait for a reader, and to close it again would end
/// what that reads.
pub fn try_write(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.file_type().is_fifo() => return Ok(()),
        // What may not be written to is not to be replaced either.
        Ok(metadata) if metadata.is_file() => drop(OpenOptions::new().append(true).open(path)?),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Draft::begin(path).map(drop)
}

/// Where a path leads to.
enum Place {
    /// A file, or where one can be made.
    File(PathBuf),
    /// What is written to as it is: a device, a pipe, or the name of what this process has open, as
    /// `/dev/stdout` is.
    Open(PathBuf),
}

impl Place {
    fn of(path: &Path) -> Self {
        let mut path = path.to_owned();
        for _ in 0..LINKS_MAX {
            if is_descriptor(&path)
                || fs::symlink_metadata(&path).is_ok_and(|it| !it.is_file() && !it.is_symlink())
            {
                return Self::Open(path);
            }
            let Ok(target) = fs::read_link(&path) else {
                break;
            };
            path = directory_of(&path).join(target);
        }
        Self::File(path)
    }
}

/// Tells whether a path is the name of what a process has open.
fn is_descriptor(path: &Path) -> bool {
    let is_standard = ["/dev/stdin", "/dev/stdout", "/dev/stderr"]
        .iter()
        .any(|name| path == Path::new(name));
    let directory = directory_of(path);
    is_standard
        || directory == Path::new("/dev/fd")
        || (directory.starts_with("/proc") && directory.ends_with("fd"))
}

/// Opens what is to be written to as it is.
fn open_in_place(path: &Path) -> io::Result<File> {
    // To open a named pipe would wait for a reader, and nobody could tell.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new()
        .append(true)
        .custom_flags(flags)
        .open(path)?;
    fcntl_setfl(&file, OFlags::APPEND)?;
    Ok(file)
}

/// Tells whether two paths lead to one file, which may not be there yet. Whatever is no file has
/// room for all.
pub fn is_same_file(one: &Path, other: &Path) -> bool {
    let file = |path: &Path| match Place::of(path) {
        Place::File(path) => Some(
            fs::canonicalize(directory_of(&path))
                .ok()?
                .join(path.file_name()?),
        ),
        Place::Open(_) => None,
    };
    file(one).is_some_and(|one| file(other) == Some(one))
}

/// Returns the directory that a file is in.
pub fn directory_of(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Makes an empty directory for a test.
#[cfg(test)]
pub(crate) fn fresh_dir(test: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("stresstest-{}-{test}", std::process::id()));
    // One of an earlier process with the same number may be there.
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// How many links are followed.
///
/// Source: path_resolution(7).
const LINKS_MAX: usize = 40;

/// Length of the buffer in bytes. A judgement: some files are long.
const BUF_LEN: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the names in a directory of its own, in which a file was begun, written to, and kept
    /// or not.
    fn names_after(test: &str, is_kept: bool) -> Vec<String> {
        let dir = fresh_dir(test);
        let mut draft = Draft::begin(&dir.join("results")).unwrap();
        draft.write_all(b"all of it").unwrap();
        if is_kept {
            draft.keep().unwrap();
            assert_eq!(fs::read(dir.join("results")).unwrap(), b"all of it");
        } else {
            drop(draft);
        }
        let names = fs::read_dir(&dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        fs::remove_dir_all(&dir).unwrap();
        names
    }

    #[test]
    fn a_file_is_there_as_a_whole_or_not_at_all() {
        assert_eq!(names_after("kept", true), ["results"]);
        assert!(names_after("dropped", false).is_empty());
    }

    #[test]
    fn whether_a_file_can_be_written_is_found_out_and_leaves_nothing() {
        let dir = fresh_dir("tried");
        fs::write(dir.join("old"), b"what was there").unwrap();
        for name in ["new", "old", &"x".repeat(255)] {
            try_write(&dir.join(name)).unwrap();
        }
        for name in ["", "missing/new", "new/", "old/", "..", &"x".repeat(256)] {
            try_write(&dir.join(name)).unwrap_err();
        }
        assert_eq!(fs::read(dir.join("old")).unwrap(), b"what was there");
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn paths_to_one_file_are_told_whether_it_is_there_or_not() {
        let dir = fresh_dir("same");
        fs::write(dir.join("old"), b"").unwrap();
        std::os::unix::fs::symlink("old", dir.join("link")).unwrap();
        let is_same = |one: &str, other: &str| is_same_file(&dir.join(one), &dir.join(other));
        assert!(is_same("old", "link") && is_same("new", "./new") && is_same("old", "old"));
        assert!(
            !is_same("old", "new") && !is_same("new", "newer") && !is_same("new", "missing/new")
        );
        assert!(!is_same_file(
            Path::new("/dev/null"),
            Path::new("/dev/null")
        ));
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn what_is_no_file_is_written_to_and_stays_what_it_is() {
        Draft::write(Path::new("/dev/null"), b"all of it").unwrap();
        let full = Draft::write(Path::new("/dev/full"), b"all of it").unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        assert!(
            ["/dev/null", "/dev/full"]
                .iter()
                .all(|path| !fs::metadata(path).unwrap().is_file())
        );
    }

    #[test]
    fn what_is_open_is_added_to() {
        let dir = fresh_dir("open");
        let path = dir.join("results");
        fs::write(&path, b"what was there, ").unwrap();
        let open = File::open(&path).unwrap();
        Draft::write(
            Path::new(&format!(
                "/proc/self/fd/{}",
                std::os::fd::AsRawFd::as_raw_fd(&open)
            )),
            b"and what came",
        )
        .unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"what was there, and what came");
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_named_pipe_that_nobody_reads_is_an_error() {
        let dir = fresh_dir("pipe");
        let path = dir.join("results");
        let made = std::process::Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap();
        assert!(made.success());
        try_write(&path).unwrap();
        Draft::begin(&path).unwrap_err();
        let read = std::thread::spawn({
            let path = path.clone();
            move || fs::read(path).unwrap()
        });
        let content = vec![7; 1 << 20];
        while let Err(error) = Draft::write(&path, &content) {
            assert_eq!(
                error.raw_os_error(),
                Some(rustix::io::Errno::NXIO.raw_os_error())
            );
        }
        assert_eq!(read.join().unwrap(), content);
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_link_stays_a_link() {
        let dir = fresh_dir("link");
        fs::write(dir.join("old"), b"").unwrap();
        std::os::unix::fs::symlink("old", dir.join("results")).unwrap();
        Draft::write(&dir.join("results"), b"all of it").unwrap();
        assert!(
            fs::symlink_metadata(dir.join("results"))
                .unwrap()
                .is_symlink()
        );
        assert_eq!(fs::read(dir.join("old")).unwrap(), b"all of it");
        std::os::unix::fs::symlink("/proc/self/fd/77777", dir.join("closed")).unwrap();
        Draft::write(&dir.join("closed"), b"all of it").unwrap_err();
        std::os::unix::fs::symlink("new", dir.join("ahead")).unwrap();
        Draft::write(&dir.join("ahead"), b"all of it").unwrap();
        assert!(
            fs::symlink_metadata(dir.join("ahead"))
                .unwrap()
                .is_symlink()
        );
        assert_eq!(fs::read(dir.join("new")).unwrap(), b"all of it");
        fs::remove_dir_all(&dir).unwrap();
    }
}
