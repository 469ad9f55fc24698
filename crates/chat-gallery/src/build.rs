//! How rows are built.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use chat_results::gallery;

use crate::change::{ChangeError, change};
use crate::entry::Entry;
use crate::manifest::Manifest;

/// A row that is built.
#[derive(Clone, Debug)]
pub(crate) struct Built {
    /// How it is run: the executable, and its arguments before the address.
    pub(crate) command: Vec<OsString>,
    /// What it took.
    pub(crate) build: gallery::Build,
}

/// Builds a row of the gallery in `dir`. Output goes to a directory for this row under `dir/target`.
pub(crate) fn build(dir: &Path, entry: &Entry, manifest: &Manifest) -> Result<Built, BuildError> {
    let out = dir.join("target/rows").join(entry.name.replace('/', "-"));
    fs::create_dir_all(&out).map_err(|source| BuildError::Out {
        path: out.clone(),
        source,
    })?;
    let start = Instant::now();
    if let Some(twin) = &manifest.twin {
        let dir = change(dir, &entry.folder, twin, &out)?;
        return run_build(&dir, &dir.join(twin), manifest, &out, start);
    }
    run_build(dir, &entry.folder, manifest, &out, start)
}

/// Builds what is in a folder of a gallery.
fn run_build(
    dir: &Path,
    folder: &Path,
    manifest: &Manifest,
    out: &Path,
    start: Instant,
) -> Result<Built, BuildError> {
    let command = match &manifest.run {
        Some(run) => {
            if let Some(build) = &manifest.build {
                let mut shell = Command::new("sh");
                shell.args(["-c", build]).env("OUT", out);
                finish(shell.current_dir(folder), build)?;
            }
            run.iter().map(|word| resolve(word, out, folder)).collect()
        }
        None if is_rust(folder) => vec![build_with_cargo(dir, folder, out)?.into()],
        None => return Err(BuildError::NoCommand),
    };
    let seconds = start.elapsed().as_secs_f64();
    let is_built = is_rust(folder) || manifest.build.is_some();
    let executable_bytes = command.first().filter(|_| is_built).and_then(|executable| {
        let is_own = Path::new(executable).starts_with(out);
        fs::metadata(executable)
            .ok()
            .filter(|_| is_own)
            .map(|it| it.len())
    });
    Ok(Built {
        command,
        build: gallery::Build {
            seconds,
            executable_bytes,
        },
    })
}

/// Returns a word of a command, with the place of what was built in it. A file of the row's folder is
/// named in full: servers are not started there.
fn resolve(word: &str, out: &Path, folder: &Path) -> OsString {
    let word = word.replace("$OUT", &out.to_string_lossy());
    let file = folder.join(&word);
    if file.is_file() {
        file.into()
    } else {
        word.into()
    }
}

/// Builds a package of the gallery's workspace, and returns its executable.
fn build_with_cargo(dir: &Path, folder: &Path, out: &Path) -> Result<PathBuf, BuildError> {
    let package = package(folder)?;
    // Copies of the gallery share what they need of others.
    let target = out.join("../../release-of-rows");
    let mut cargo = Command::new("cargo");
    cargo.args([
        "build",
        "--release",
        "--locked",
        "--quiet",
        "--package",
        &package,
    ]);
    cargo.arg("--target-dir").arg(&target).current_dir(dir);
    finish(
        &mut cargo,
        &format!("cargo build --release --package {package}"),
    )?;
    // The next copy has an executable of the same name.
    let (built, executable) = (target.join("release").join(&package), out.join(&package));
    fs::copy(&built, &executable).map_err(|source| BuildError::Out {
        path: built,
        source,
    })?;
    Ok(executable)
}

/// Tells whether cargo builds what is in a folder.
pub(crate) fn is_rust(folder: &Path) -> bool {
    folder.join("Cargo.toml").is_file()
}

/// Returns the name of the package in a folder.
pub(crate) fn package(folder: &Path) -> Result<String, BuildError> {
    let path = folder.join("Cargo.toml");
    let text = fs::read_to_string(&path).map_err(|source| BuildError::Out { path, source })?;
    let manifest: toml::Table = toml::from_str(&text).map_err(|_| BuildError::NoPackage)?;
    let name = manifest.get("package").and_then(|it| it.get("name"));
    let name = name
        .and_then(|it| it.as_str())
        .ok_or(BuildError::NoPackage)?;
    Ok(name.to_owned())
}

fn finish(command: &mut Command, told: &str) -> Result<(), BuildError> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|source| BuildError::Start {
        command: told.to_owned(),
        source,
    })?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(LINES_SHOWN_MAX)..];
    Err(BuildError::Failed {
        command: told.to_owned(),
        status: output.status,
        lines: last.join("\n"),
    })
}

/// Why a row is not built.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    #[error("cannot use {}: {source}", path.display())]
    Out { path: PathBuf, source: io::Error },
    #[error("cannot run `{command}`: {source}")]
    Start { command: String, source: io::Error },
    #[error("`{command}` failed: {status}\n{lines}")]
    Failed {
        command: String,
        status: std::process::ExitStatus,
        lines: String,
    },
    #[error("impl.toml has no `run`, and there is no Cargo.toml that would tell how it is run")]
    NoCommand,
    #[error(transparent)]
    Change(#[from] ChangeError),
    #[error("its Cargo.toml names no package")]
    NoPackage,
}

/// How many lines of a failed build are shown, the last ones. A judgement: compilers tell the most
/// there.
const LINES_SHOWN_MAX: usize = 40;
