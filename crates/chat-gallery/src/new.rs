//! New rows, from templates.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::manifest::MANIFEST_NAME;

/// Makes the folder of a new row in the gallery in `dir`, and returns the files that are to be filled in.
/// A row in Rust builds at once, and is wrong until it serves somebody.
///
/// # Errors
///
/// When the name is not like `go/goroutines`, there is such a row, or a file cannot be written.
pub fn new_row(dir: &Path, name: &str) -> Result<Vec<PathBuf>, NewError> {
    let (language, style) = name
        .split_once('/')
        .filter(|(language, style)| is_word(language) && is_word(style))
        .ok_or_else(|| NewError::Name(name.to_owned()))?;
    let folder = dir.join(name);
    if folder.exists() {
        return Err(NewError::Exists(folder));
    }
    let files = if language == "rust" {
        vec![
            (MANIFEST_NAME, MANIFEST.to_owned()),
            ("Cargo.toml", CARGO.replace("NAME", style)),
            ("src/main.rs", MAIN.replace("NAME", style)),
        ]
    } else {
        vec![(MANIFEST_NAME, format!("{MANIFEST}{RUN}"))]
    };
    let write = |(file, text): (&str, String)| {
        let path = folder.join(file);
        let parent = path.parent().unwrap_or(&folder);
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, text))
            .map(|()| path.clone())
            .map_err(|source| NewError::Write { path, source })
    };
    files.into_iter().map(write).collect()
}

fn is_word(text: &str) -> bool {
    let is_part = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-';
    text.starts_with(|it: char| it.is_ascii_lowercase()) && text.bytes().all(is_part)
}

/// Why there is no new row.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NewError {
    /// The name is none.
    #[error("{0} is no name of a row: small letters, as in go/goroutines, are needed")]
    Name(String),
    /// There is such a row.
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
    /// A file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

// Cargo would take a folder with a file of its name for another package, so the template has another.
const MANIFEST: &str = include_str!("template/impl.toml");
const RUN: &str = include_str!("template/run.toml");
const CARGO: &str = include_str!("template/cargo.txt");
const MAIN: &str = include_str!("template/main.txt");
