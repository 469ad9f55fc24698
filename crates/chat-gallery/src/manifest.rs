//! What a row says of itself.

use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use chat_results::gallery::{Card, Laggards};
use chat_results::{Load, Pacing, parse_count, parse_per_second, parse_rate, parse_some_time};
use serde::Deserialize;

/// The file in a row's folder that describes it, `impl.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The style.
    pub style: Style,
    /// On which layer it stands.
    pub layer: Layer,
    /// What one client is, in words.
    pub client: String,
    /// Where the one order is made.
    pub order: String,
    /// What happens to clients that do not keep up.
    pub laggards: Laggards,
    /// The page that it follows.
    pub written_as: Option<String>,
    /// Tools that it needs, like `go >= 1.19`.
    #[serde(default)]
    pub needs: Vec<Need>,
    /// Shell commands that succeed where everything else is there that it needs.
    #[serde(default)]
    pub checks: Vec<String>,
    /// Packages that bring what it needs.
    #[serde(default)]
    pub install: Install,
    /// The shell command that builds it; rows in Rust are built by cargo.
    pub build: Option<String>,
    /// The command that runs it, to which the address is appended; cargo knows it of rows in Rust.
    pub run: Option<Vec<String>>,
    /// What must be found.
    #[serde(default)]
    pub expect: Expect,
    /// The right row that a wrong one is the smallest change from. The change is beside the manifest, in
    /// `change.diff`, and the rest is what the twin's manifest says.
    pub twin: Option<String>,
    /// The idea behind a wrong one, and where it is found.
    pub story: Option<String>,
    /// A load that shows how it is wrong, besides those that all rows get.
    pub load: Option<ExtraLoad>,
    /// Deviations, and what a reader who chooses must know.
    #[serde(default)]
    pub notes: Vec<String>,
    /// The lines that decide, like `src/main.rs:40-60`.
    #[serde(default)]
    pub lines: Vec<Lines>,
    /// Whether it takes long to install and build, and so is left out unless it is asked for.
    #[serde(default)]
    pub heavy: bool,
}

/// What a client is to the server's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Style {
    /// Threads and locks.
    Threads,
    /// Threads or coroutines and channels, with a choice between several.
    Csp,
    /// A loop over sockets that are ready.
    Readiness,
    /// Functions that a loop calls.
    Callbacks,
    /// Futures on a runtime.
    Async,
    /// A loop over what the kernel has completed.
    Completion,
    /// Coroutines with stacks of their own.
    Coroutines,
    /// Actors with mailboxes.
    Actors,
    /// Transactions on shared memory.
    Stm,
    /// Tasks that end with the scope that started them.
    Structured,
}

/// On what a row stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// A fan-out of its own, as the documentation of the style teaches.
    Plain,
    /// chat-hub.
    Hub,
}

/// A tool that a row needs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Need {
    /// Its name in `$PATH`.
    pub tool: String,
    /// The lowest version that does, in numbers; any does if there are none.
    pub version: Vec<u64>,
}

/// Packages that bring what a row needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Install {
    /// Of Debian.
    #[serde(default)]
    pub debian: Vec<String>,
    /// Of Python's index.
    #[serde(default)]
    pub pypi: Vec<String>,
    /// Of Node's.
    #[serde(default)]
    pub npm: Vec<String>,
}

/// What must be found of a row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum Expect {
    /// Nothing wrong.
    #[default]
    Pass,
    /// A violation of this class in a load.
    Class(String),
    /// That this case fails.
    Case(String),
}

/// Lines of a file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Lines {
    /// The file, in the row's folder.
    pub file: PathBuf,
    /// The number of the first line, from 1.
    pub first: usize,
    /// The number of the last line.
    pub last: usize,
}

/// A load of a wrong row's own.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExtraLoad {
    publishers: Option<u32>,
    subscribers: Option<u32>,
    messages: Option<String>,
    window: Option<u32>,
    rate: Option<String>,
    duration: Option<String>,
    size: Option<String>,
    stalled: Option<u32>,
    slow: Option<String>,
    churn: Option<String>,
}

impl Manifest {
    /// Reads the manifest of the row in a folder of the gallery in `dir`. One that names a twin says
    /// what the twin's manifest says, but for its notes and lines, and where it says something else.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or says something that makes no sense.
    pub fn read(dir: &Path, folder: &Path) -> Result<Self, ManifestError> {
        let text = read(folder)?;
        let mut table: toml::Table = toml::from_str(&text).map_err(parse_error)?;
        let twin = table.get("twin").and_then(toml::Value::as_str);
        let manifest: Self = if let Some(twin) = twin {
            let mut of_twin: toml::Table =
                toml::from_str(&read(&dir.join(twin))?).map_err(parse_error)?;
            of_twin.retain(|key, _| key != "notes" && key != "lines");
            of_twin.extend(std::mem::take(&mut table));
            of_twin.try_into().map_err(parse_error)?
        } else {
            // Errors tell the place in the text.
            toml::from_str(&text).map_err(parse_error)?
        };
        if let Some(extra) = &manifest.load {
            extra.load().map_err(ManifestError::Load)?;
        }
        if manifest.run.as_ref().is_some_and(Vec::is_empty) {
            return Err(ManifestError::NoCommand);
        }
        Ok(manifest)
    }

    /// Returns what of it goes into results.
    pub fn card(&self) -> Card {
        Card {
            style: format!("{:?}", self.style).to_lowercase(),
            layer: format!("{:?}", self.layer).to_lowercase(),
            client: self.client.clone(),
            order: self.order.clone(),
            laggards: self.laggards.clone(),
            written_as: self.written_as.clone(),
            expect: self.expect.to_string(),
            twin: self.twin.clone(),
            story: self.story.clone(),
            notes: self.notes.clone(),
        }
    }
}

fn read(folder: &Path) -> Result<String, ManifestError> {
    let path = folder.join(MANIFEST_NAME);
    fs::read_to_string(&path).map_err(|source| ManifestError::Read { path, source })
}

fn parse_error(error: toml::de::Error) -> ManifestError {
    ManifestError::Parse(error.to_string().trim_end().to_owned())
}

impl Install {
    /// Returns the command lines that install it all.
    pub fn lines(&self) -> Vec<String> {
        let line = |command: &str, packages: &[String]| {
            (!packages.is_empty()).then(|| format!("{command} {}", packages.join(" ")))
        };
        [
            line("apt-get install -y --no-install-recommends", &self.debian),
            line("pip install", &self.pypi),
            line("npm install -g", &self.npm),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl ExtraLoad {
    /// Returns the load.
    ///
    /// # Errors
    ///
    /// When a text is none of what it should be.
    pub fn load(&self) -> Result<Load, String> {
        fn read<T, E: fmt::Display>(
            name: &str,
            text: Option<&String>,
            parse: impl Fn(&str) -> Result<T, E>,
        ) -> Result<Option<T>, String> {
            let parsed = text.map(|text| parse(text).map_err(|why| format!("{name}: {why}")));
            parsed.transpose()
        }
        let plain = Load::default();
        let duration = read("duration", self.duration.as_ref(), parse_some_time)?;
        let messages = read("messages", self.messages.as_ref(), parse_count)?;
        let rate = read("rate", self.rate.as_ref(), parse_rate)?;
        let window = self.window.map_or(Pacing::LOCK_STEP, Pacing::window);
        Ok(Load {
            publishers: self.publishers.unwrap_or(plain.publishers),
            subscribers: self.subscribers.unwrap_or(plain.subscribers),
            repetitions: 1,
            messages: messages.or(plain.messages.filter(|_| duration.is_none())),
            duration,
            pacing: rate.map_or(window, Pacing::Rate),
            size: read("size", self.size.as_ref(), str::parse)?.unwrap_or(plain.size),
            stalled: self.stalled.unwrap_or(0),
            slow: read("slow", self.slow.as_ref(), str::parse)?.unwrap_or(plain.slow),
            churn: read("churn", self.churn.as_ref(), parse_per_second)?.unwrap_or(0.0),
            ..plain
        })
    }
}

impl TryFrom<String> for Need {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (tool, version) = text.split_once(">=").unwrap_or((&text, ""));
        let version = version.trim();
        let numbers: Result<_, _> = version
            .split('.')
            .filter(|part| !part.is_empty())
            .map(str::parse)
            .collect();
        let tool = tool.trim().to_owned();
        if tool.is_empty() || tool.contains(char::is_whitespace) {
            return Err(format!("`{text}` names no tool: `go >= 1.19` would do"));
        }
        let version = numbers.map_err(|_| format!("`{version}` is no version like 1.19"))?;
        Ok(Self { tool, version })
    }
}

impl From<String> for Expect {
    fn from(text: String) -> Self {
        match text.strip_prefix("conform:") {
            Some(case) => Self::Case(case.to_owned()),
            None if text == "pass" => Self::Pass,
            None => Self::Class(text),
        }
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass => f.write_str("pass"),
            Self::Class(class) => f.write_str(class),
            Self::Case(case) => write!(f, "conform:{case}"),
        }
    }
}

impl TryFrom<String> for Lines {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parse = || {
            let (file, range) = text.rsplit_once(':')?;
            let (first, last) = range.split_once('-')?;
            let (first, last) = (first.parse().ok()?, last.parse().ok()?);
            let file = PathBuf::from(file);
            (1 <= first && first <= last && file.is_relative()).then_some(Self {
                file,
                first,
                last,
            })
        };
        parse().ok_or_else(|| format!("`{text}` names no lines: `src/main.rs:40-60` would do"))
    }
}

/// Why a manifest is none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Where it should be.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It says something that makes no sense.
    #[error("{MANIFEST_NAME} makes no sense: {0}")]
    Parse(String),
    /// Its load is none.
    #[error("{MANIFEST_NAME} makes no sense: in [load], {0}")]
    Load(String),
    /// Its command is empty.
    #[error("{MANIFEST_NAME} makes no sense: `run` has no words")]
    NoCommand,
}

/// The name of the file.
pub const MANIFEST_NAME: &str = "impl.toml";
