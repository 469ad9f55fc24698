//! Where options come from: the command line, or else the environment, or else a file.
//!
//! A file has the names of the long options as keys, and a variable is `CHAT_SERVER_` with the name in
//! capitals. What they say becomes the default of the option, so the command line has the last word,
//! and all three are read and checked by the same parser.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command, CommandFactory, FromArgMatches};

use crate::args::{Args, PUBLIC};

/// The options, and what was said for each of them.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) args: Args,
    /// What each option was given, by its name.
    values: Values,
}

/// Texts by the name of the option that they are for.
type Values = BTreeMap<String, Vec<String>>;

/// Why there are no options.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OptionsError {
    /// The command line makes no sense, or asks for help.
    #[error("{}", first_line(.0))]
    Usage(clap::Error),
    #[error("cannot read the configuration {path}: {source}", path = .path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("the configuration {path} is no TOML: {reason}", path = .path.display())]
    Syntax { path: PathBuf, reason: String },
    #[error("{origin}: there is no option `{name}`{}", meant(.nearest.as_deref()))]
    Unknown {
        origin: Origin,
        name: String,
        nearest: Option<String>,
    },
    #[error("{origin}: {name} takes a text, a number, true or false, or a list of such")]
    Type { origin: Origin, name: String },
    #[error("{origin}: {name}: {reason}")]
    Value {
        origin: Origin,
        name: String,
        reason: String,
    },
}

/// What an option was set by, apart from the command line.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    File(PathBuf),
    Variable(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => write!(f, "the variable {name}"),
        }
    }
}

fn meant(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

impl Options {
    /// Reads the options of this process.
    pub(crate) fn read() -> Result<Self, OptionsError> {
        Self::of(env::args_os().collect(), env::vars_os())
    }

    fn of(
        args: Vec<OsString>,
        vars: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Self, OptionsError> {
        Self::with_file(args, vars, |path| std::fs::read_to_string(path))
    }

    /// Reads options, and by `read` the file that they name.
    fn with_file(
        args: Vec<OsString>,
        vars: impl Iterator<Item = (OsString, OsString)>,
        read: impl FnOnce(&Path) -> io::Result<String>,
    ) -> Result<Self, OptionsError> {
        let mut command = Args::command();
        let mut from_vars = Vec::new();
        for (variable, value) in vars {
            let Some(variable) = variable.to_str().filter(|name| name.starts_with(PREFIX)) else {
                continue;
            };
            let name = variable[PREFIX.len()..].to_lowercase().replace('_', "-");
            let origin = Origin::Variable(variable.to_owned());
            let value = value.to_string_lossy().into_owned();
            from_vars.push((origin, name, vec![value]));
        }
        from_vars.sort_by(|(_, one, _), (_, other, _)| one.cmp(other));
        for (origin, name, value) in &from_vars {
            if name == CONFIG {
                command = with_default(command, name, value.clone());
            } else {
                check(&command, origin, name, value)?;
            }
        }
        let matches = parse(&command, &args)?;
        let mut defaults = match matches.get_one::<PathBuf>(CONFIG) {
            Some(path) => {
                let text = read(path).map_err(|source| OptionsError::Read {
                    path: path.clone(),
                    source,
                })?;
                read_text(&command, path, &text)?
            }
            None => Values::new(),
        };
        defaults.extend(from_vars.into_iter().map(|(_, name, value)| (name, value)));
        for (name, texts) in &defaults {
            command = with_default(command, name, texts.clone());
        }
        let matches = parse(&command, &args)?;
        if matches.get_flag("public") {
            for (name, text) in PUBLIC
                .into_iter()
                .filter(|(name, _)| !defaults.contains_key(*name))
            {
                command = with_default(command, name, vec![text.to_owned()]);
            }
        }
        let matches = parse(&command, &args)?;
        Ok(Self {
            args: Args::from_arg_matches(&matches).map_err(OptionsError::Usage)?,
            values: values(&command, &matches),
        })
    }

    /// Takes over what `read` says of the options that are named.
    pub(crate) fn adopt(&mut self, mut read: Self, names: &[&str]) {
        for &name in names {
            match read.values.remove(name) {
                Some(texts) => self.values.insert(name.to_owned(), texts),
                None => self.values.remove(name),
            };
        }
    }

    /// Returns the names of options that `other` says something else of.
    pub(crate) fn changes<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a str> {
        let names = self.values.keys().chain(other.values.keys());
        let mut names: Vec<_> = names.map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        names
            .into_iter()
            .filter(|&name| self.values.get(name) != other.values.get(name))
    }
}

impl fmt::Display for Options {
    /// Writes a configuration file that says the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, texts) in &self.values {
            let texts = texts
                .iter()
                .map(|text| toml::Value::from(text.as_str()).to_string());
            match &texts.collect::<Vec<_>>()[..] {
                [text] => writeln!(f, "{name} = {text}")?,
                texts => writeln!(f, "{name} = [{}]", texts.join(", "))?,
            }
        }
        Ok(())
    }
}

fn parse(command: &Command, args: &[OsString]) -> Result<ArgMatches, OptionsError> {
    command
        .clone()
        .try_get_matches_from(args)
        .map_err(OptionsError::Usage)
}

/// Reads the text of a file and checks what it says, one option after the other.
fn read_text(command: &Command, path: &Path, text: &str) -> Result<Values, OptionsError> {
    let table: toml::Table = text.parse().map_err(|error| OptionsError::Syntax {
        path: path.to_owned(),
        reason: reason(text, &error),
    })?;
    let origin = Origin::File(path.to_owned());
    let mut values = Values::new();
    for (name, value) in table {
        let texts = texts(&value).ok_or_else(|| OptionsError::Type {
            origin: origin.clone(),
            name: name.clone(),
        })?;
        check(command, &origin, &name, &texts)?;
        values.insert(name, texts);
    }
    Ok(values)
}

/// Says in one line, which a log is made of, what is wrong where.
fn reason(text: &str, error: &toml::de::Error) -> String {
    let begin = error.span().map_or(0, |span| span.start);
    let before = text.get(..begin).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
    let message = error.message().replace('\n', ", ");
    format!("line {line}, column {column}: {message}")
}

/// Returns what a value of a file would be on the command line.
fn texts(value: &toml::Value) -> Option<Vec<String>> {
    match value {
        toml::Value::Array(values) => {
            let texts: Option<Vec<_>> = values.iter().map(text).collect();
            texts.filter(|texts| !texts.is_empty())
        }
        value => text(value).map(|text| vec![text]),
    }
}

fn text(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => None,
    }
}

/// Fails unless there is such an option, and it takes these texts.
fn check(
    command: &Command,
    origin: &Origin,
    name: &str,
    texts: &[String],
) -> Result<(), OptionsError> {
    let Some(arg) = options(command).find(|arg| arg.get_long() == Some(name)) else {
        return Err(OptionsError::Unknown {
            origin: origin.clone(),
            name: name.to_owned(),
            nearest: nearest(command, name),
        });
    };
    let refused = |reason| OptionsError::Value {
        origin: origin.clone(),
        name: name.to_owned(),
        reason,
    };
    if !arg.get_action().takes_values() {
        let is_truth = |text: &String| matches!(text.as_str(), "true" | "false");
        return match texts {
            [text] if is_truth(text) => Ok(()),
            _ => Err(refused("it is true or false".to_owned())),
        };
    }
    if texts.len() > 1 && !matches!(arg.get_action(), clap::ArgAction::Append) {
        return Err(refused("it takes one value and no list".to_owned()));
    }
    // Alone, so that an error is about nothing else.
    let alone = Command::new(command.get_name().to_owned()).arg(arg.clone());
    let words = texts.iter().map(|text| format!("--{name}={text}"));
    let words = std::iter::once(String::new()).chain(words);
    match alone.try_get_matches_from(words) {
        Ok(_) => Ok(()),
        Err(error) => Err(refused(first_line(&error))),
    }
}

/// Returns the option that may have been meant.
fn nearest(command: &Command, name: &str) -> Option<String> {
    options(command)
        .filter_map(Arg::get_long)
        .map(|known| (strsim::jaro_winkler(known, name), known))
        .filter(|&(likeness, _)| likeness > LIKENESS_MIN)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, known)| known.to_owned())
}

/// Returns the options that a file or a variable may set.
fn options(command: &Command) -> impl Iterator<Item = &Arg> {
    let is_one = |arg: &&Arg| arg.get_long().is_some_and(|name| !COMMANDS.contains(&name));
    command.get_arguments().filter(is_one)
}

/// Has an option that nobody sets on the command line have these values.
fn with_default(command: Command, name: &str, texts: Vec<String>) -> Command {
    // Identifiers of options are their names with another hyphen.
    let id = name.replace('-', "_");
    command.mut_arg(id, |arg| arg.default_values(texts))
}

/// Returns what each option was given, or has by default.
fn values(command: &Command, matches: &ArgMatches) -> Values {
    let mut values = Values::new();
    for arg in options(command) {
        let name = arg.get_long().unwrap_or_default().to_owned();
        let id = arg.get_id().as_str();
        let texts: Vec<_> = match matches.get_raw(id) {
            Some(raw) => raw
                .map(|text| text.to_string_lossy().into_owned())
                .collect(),
            None if arg.get_action().takes_values() => continue,
            None => vec![matches.get_flag(id).to_string()],
        };
        values.insert(name, texts);
    }
    values
}

/// Returns the first line of what the parser says, which is all that is about an option alone.
fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// What the names of variables begin with.
const PREFIX: &str = "CHAT_SERVER_";

/// The option that names the file.
const CONFIG: &str = "config";

/// The options that only the command line has.
const COMMANDS: [&str; 6] = [
    "check-config",
    "completions",
    "config",
    "help",
    "man",
    "version",
];

/// How like a name must be to be what was meant, where 1 is equal. A judgement.
const LIKENESS_MIN: f64 = 0.8;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzed;
#[cfg(test)]
mod tests;
