//! Results kept in a file, to compare later runs with.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::{fs, io, iter};

use chat_results::judge::{Compared, compare, difference};
use chat_results::{Load, Results, VERSION};
use serde::Deserialize;

use crate::atomic_file::{self, directory_of};
use crate::json;

/// The results of an earlier run.
#[derive(Clone, Debug)]
pub struct Baseline {
    name: BaselineName,
    results: Results,
}

impl Baseline {
    /// Reads the baseline of this name in `dir`.
    pub fn load(dir: &Path, name: &BaselineName) -> Result<Self, BaselineError> {
        let path = Self::path(dir, name);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(BaselineError::Missing {
                    path,
                    name: name.clone(),
                });
            }
            Err(source) => return Err(BaselineError::Read { path, source }),
        };
        // The version comes first: what has another one may lack the rest.
        let parsed = serde_json::from_str(&text).and_then(|Versioned { version }| match version {
            VERSION => serde_json::from_str(&text).map(Ok),
            version => Ok(Err(version)),
        });
        match parsed {
            Ok(Ok(results)) => Ok(Self {
                name: name.clone(),
                results,
            }),
            Ok(Err(version)) => Err(BaselineError::Version {
                path,
                version,
                name: name.clone(),
            }),
            Err(source) => Err(BaselineError::Parse { path, source }),
        }
    }

    /// Keeps results as the baseline of this name in `dir`, which is made if need be, and returns
    /// the path of the file. A baseline that was there is replaced as a whole or not at all.
    pub fn save(
        dir: &Path,
        name: &BaselineName,
        results: &Results,
    ) -> Result<PathBuf, BaselineError> {
        let path = Self::path(dir, name);
        match fs::create_dir_all(dir).and_then(|()| json::write(&path, results)) {
            Ok(()) => Ok(path),
            Err(source) => Err(BaselineError::Write { path, source }),
        }
    }

    /// Finds out whether the baseline of this name can be kept in `dir`, and leaves everything as
    /// it is.
    pub fn try_save(dir: &Path, name: &BaselineName) -> Result<(), BaselineError> {
        let path = Self::path(dir, name);
        // The nearest directory that is there decides whether those below it can be made.
        let is_there = |dir: &&Path| dir.symlink_metadata().is_ok();
        let nearest = iter::successors(Some(dir), |&dir| Some(directory_of(dir)))
            .find(is_there)
            .unwrap_or(dir);
        atomic_file::try_write(&nearest.join(path.file_name().unwrap_or_default()))
            .map_err(|source| BaselineError::Write { path, source })
    }

    /// Returns the file that the baseline of this name is in.
    pub fn path(dir: &Path, name: &BaselineName) -> PathBuf {
        dir.join(format!("{name}.json"))
    }

    /// Compares each figure with what it is now, see [`compare`].
    pub fn compare(&self, now: &Results, noise: f64) -> Vec<Compared> {
        compare(&self.results, now, noise)
    }

    /// Tells what makes a load another one, so that the results of neither can be worse than those of
    /// the other, if anything does.
    pub fn incomparable(&self, now: &Load) -> Option<String> {
        let difference = difference(self.results.load(), now)?;
        Some(format!(
            "the baseline `{}` is of another load: {difference}",
            self.name
        ))
    }
}

/// The name of a baseline. It names one file of a directory, and none outside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaselineName(
    // Invariant: 1 to NAME_LEN_MAX letters, digits, `-`, `_` and `.`, the first of which is no
    // dot.
    String,
);

impl FromStr for BaselineName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        let is_harmless = name
            .chars()
            .all(|char| char.is_ascii_alphanumeric() || "-_.".contains(char));
        let is_name =
            is_harmless && !name.is_empty() && !name.starts_with('.') && name.len() <= NAME_LEN_MAX;
        if is_name {
            Ok(Self(name.to_owned()))
        } else {
            Err(NameError)
        }
    }
}

impl std::fmt::Display for BaselineName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text is no name of a baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a name has 1 to {NAME_LEN_MAX} letters, digits, `-`, `_` and `.`, and does not begin with a dot"
)]
pub struct NameError;

/// Why a baseline cannot be had or kept.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// Nobody made it.
    #[error("there is no baseline {}: make it with --save-baseline {name}", path.display())]
    Missing {
        /// Where it would be.
        path: PathBuf,
        /// What it would be called.
        name: BaselineName,
    },
    /// The file cannot be read.
    #[error("cannot read the baseline {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file has something else.
    #[error("{} is no baseline: {source}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// Another version of this program wrote the file.
    #[error("the baseline {} has version {version}, and this is {VERSION}: make it again with --save-baseline {name}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
        /// What it is called.
        name: BaselineName,
    },
    /// The file cannot be written.
    #[error("cannot write the baseline {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What all versions of [`Results`] have.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// How long a name can be, in bytes. File systems have at least 255, and the file's name is a
/// little longer.
const NAME_LEN_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use chat_results::sample::results;

    use super::*;
    use crate::atomic_file::fresh_dir;

    fn name(name: &str) -> BaselineName {
        name.parse().unwrap()
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let dir = fresh_dir("saved");
        let kept = dir.join("deeper");
        let path = Baseline::save(&kept, &name("v1.2"), &results()).unwrap();
        assert_eq!(path, kept.join("v1.2.json"));
        assert_eq!(
            Baseline::load(&kept, &name("v1.2")).unwrap().results,
            results()
        );
        let mut other = results();
        other.counts.sent = 4;
        Baseline::save(&kept, &name("v1.2"), &other).unwrap();
        assert_eq!(Baseline::load(&kept, &name("v1.2")).unwrap().results, other);
        let files: Vec<_> = fs::read_dir(&kept)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(files, ["v1.2.json"], "nothing else is left");
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_missing_baseline_is_told_of_with_how_to_make_it() {
        let error = Baseline::load(Path::new("/nonexistent"), &name("main"))
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "there is no baseline /nonexistent/main.json: make it with --save-baseline main"
        );
    }

    #[test]
    fn files_that_are_no_baselines_are_told_of() {
        let dir = fresh_dir("other");
        let check = |text: &str, told: &str| {
            fs::write(dir.join("main.json"), text).unwrap();
            let error = Baseline::load(&dir, &name("main")).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        };
        check("{\"version\":", "main.json is no baseline: EOF");
        check(
            "{\"version\":2}",
            "main.json is no baseline: missing field `load`",
        );
        check(
            "{\"version\":7,\"new\":0}",
            "main.json has version 7, and this is 2: make it again with --save-baseline main",
        );
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_baseline_that_cannot_be_written_is_told_of_and_leaves_nothing() {
        let dir = fresh_dir("blocked");
        fs::create_dir_all(dir.join("main.json/occupied")).unwrap();
        let mut unreadable = results();
        unreadable.drops.rate = f64::NAN;
        Baseline::save(&dir, &name("other"), &unreadable).unwrap_err();
        let error = Baseline::save(&dir, &name("main"), &results())
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("cannot write the baseline "), "{error}");
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_name_cannot_leave_the_directory() {
        for name in [
            "",
            ".",
            "..",
            ".hidden",
            "a/b",
            "../a",
            "/etc",
            "a b",
            "a\0",
            "\u{e9}",
            &"x".repeat(NAME_LEN_MAX + 1),
        ] {
            assert_eq!(name.parse::<BaselineName>(), Err(NameError), "{name:?}");
        }
        for name in ["a", "v1.2_rc-3", "a..b", &"x".repeat(NAME_LEN_MAX)] {
            assert_eq!(name.parse::<BaselineName>().unwrap().to_string(), name);
        }
    }
}
