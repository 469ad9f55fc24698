//! The folders of a gallery.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::manifest::{MANIFEST_NAME, Manifest, ManifestError};

/// A folder with a manifest.
#[derive(Debug)]
pub struct Entry {
    /// Its place in the gallery, like `rust/tokio` or `wrong/rust/raw-relay`.
    pub name: String,
    /// The folder.
    pub folder: PathBuf,
    /// What its manifest says, or why that is none.
    pub manifest: Result<Manifest, ManifestError>,
}

impl Entry {
    /// Tells whether it is on the shelf of wrong designs.
    pub fn is_wrong(&self) -> bool {
        self.name.starts_with(WRONG)
    }
}

/// Finds the rows of a gallery: first the right ones, then the wrong ones, each by their names.
///
/// # Errors
///
/// When the directory cannot be read, or has no rows.
pub fn find(dir: &Path) -> Result<Vec<Entry>, FindError> {
    // Commands run elsewhere.
    let dir = &dir.canonicalize().map_err(|source| FindError::Read {
        path: dir.to_owned(),
        source,
    })?;
    let mut entries = Vec::new();
    search(dir, dir, DEPTH_MAX, &mut entries)?;
    entries.sort_by_key(|entry| (entry.is_wrong(), entry.name.clone()));
    if entries.is_empty() {
        return Err(FindError::None {
            path: dir.to_owned(),
        });
    }
    Ok(entries)
}

fn search(
    dir: &Path,
    folder: &Path,
    depth: usize,
    entries: &mut Vec<Entry>,
) -> Result<(), FindError> {
    let failed = |source| FindError::Read {
        path: folder.to_owned(),
        source,
    };
    for item in fs::read_dir(folder).map_err(failed)? {
        let path = item.map_err(failed)?.path();
        if path.join(MANIFEST_NAME).is_file() {
            let name = path.strip_prefix(dir).unwrap_or(&path);
            entries.push(Entry {
                name: name.to_string_lossy().into_owned(),
                manifest: Manifest::read(dir, &path),
                folder: path,
            });
        } else if depth > 1 && path.is_dir() && !path.ends_with("target") {
            search(dir, &path, depth - 1, entries)?;
        }
    }
    Ok(())
}

/// Why there is no gallery.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// A directory cannot be read.
    #[error("cannot read the gallery in {}: {source}", path.display())]
    Read {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There are no rows.
    #[error("{} has no folder like rust/tokio with a file {MANIFEST_NAME}", path.display())]
    None {
        /// The directory.
        path: PathBuf,
    },
}

/// What the names of wrong designs begin with.
const WRONG: &str = "wrong/";

/// How deep rows lie: `wrong/LANGUAGE/NAME`.
const DEPTH_MAX: usize = 3;
