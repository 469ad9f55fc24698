//! Wrong designs, each of them a change of a right row.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use diffy::{ApplyError, ParsePatchError, Patch};

/// The file with the change, beside the manifest.
pub(crate) const CHANGE_NAME: &str = "change.diff";

/// Makes a copy of the gallery in `dir` in which the row `twin` is changed as the folder of a wrong
/// design says, and returns the copy. What the gallery's packages need outside of it is found where it
/// was.
pub(crate) fn change(
    dir: &Path,
    folder: &Path,
    twin: &str,
    out: &Path,
) -> Result<PathBuf, ChangeError> {
    let path = folder.join(CHANGE_NAME);
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| ChangeError::File { path, source }
    };
    let text = fs::read_to_string(&path).map_err(failed(&path))?;
    let patch = Patch::from_str(&text)?;
    let copy = out.join("gallery");
    if copy.exists() {
        fs::remove_dir_all(&copy).map_err(failed(&copy))?;
    }
    copy_sources(dir, &copy).map_err(failed(&copy))?;
    let name = patch.modified().map(|name| name.trim_start_matches("b/"));
    let changed = copy.join(twin).join(name.ok_or(ChangeError::NoName)?);
    let before = fs::read_to_string(&changed).map_err(failed(&changed))?;
    let after = diffy::apply(&before, &patch)?;
    fs::write(&changed, after).map_err(failed(&changed))?;
    let manifest = copy.join("Cargo.toml");
    if manifest.exists() {
        let text = fs::read_to_string(&manifest).map_err(failed(&manifest))?;
        let outside = dir.join("../..").canonicalize().map_err(failed(dir))?;
        let text = text.replace("\"../../", &format!("\"{}/", outside.display()));
        fs::write(&manifest, text).map_err(failed(&manifest))?;
    }
    Ok(copy)
}

/// Copies a directory, but for what was built, and for wrong designs.
fn copy_sources(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for item in fs::read_dir(from)? {
        let item = item?;
        let (name, path) = (item.file_name(), item.path());
        if path.is_file() {
            fs::copy(&path, to.join(name))?;
        } else if name != "target" && name != "wrong" {
            copy_sources(&path, &to.join(name))?;
        }
    }
    Ok(())
}

/// Why a wrong design could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    #[error("cannot use {}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{CHANGE_NAME} is no unified diff: {0}")]
    Parse(#[from] ParsePatchError),
    #[error("{CHANGE_NAME} names no file: its second line should be like `+++ b/src/main.rs`")]
    NoName,
    #[error("{CHANGE_NAME} does not fit its twin any more: {0}")]
    Apply(#[from] ApplyError),
}
