//! What is logged to stderr. The chat never waits for it: lines that nobody reads are dropped and
//! counted.

use std::env;
use std::io::{self, IsTerminal};
use std::panic::{self, PanicHookInfo};
use std::str::FromStr;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

use crate::args::LogFormat;
use crate::log_writer::{self, LogEnd};

/// Which lines are logged: a level for all parts of the server, and others for some.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Filter(Targets);

/// Says what in a filter cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FilterError {
    #[error("`{0}` is no level; the levels are {LEVELS}")]
    Level(String),
    #[error("`{0}` is no part of a program; a part with a level is like chat_server=debug")]
    Target(String),
    #[error("it is not UTF-8")]
    NotUtf8,
}

const LEVELS: &str = "off, error, warn, info, debug and trace";

impl Default for Filter {
    fn default() -> Self {
        let targets = Targets::new().with_default(LevelFilter::WARN);
        let targets = targets.with_target(STATE, LevelFilter::INFO);
        Self(targets.with_target(SECRETIVE, LevelFilter::OFF))
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    /// Reads a list, separated by commas, of `LEVEL` and `TARGET=LEVEL`.
    fn from_str(text: &str) -> Result<Self, FilterError> {
        let Self(mut targets) = Self::default();
        let directives = text.split(',').map(str::trim);
        for directive in directives.filter(|directive| !directive.is_empty()) {
            targets = match directive.split_once('=') {
                None => targets.with_default(parse_level(directive)?),
                Some((target, _)) if target.starts_with(SECRETIVE) => targets,
                Some((target, level)) => {
                    targets.with_target(parse_target(target)?, parse_level(level)?)
                }
            };
        }
        Ok(Self(targets))
    }
}

impl Filter {
    /// Reads the variable that many programs share: one of them may have set it for itself.
    fn from_env() -> Result<Self, FilterError> {
        match env::var(VARIABLE) {
            Ok(text) => text.parse(),
            Err(env::VarError::NotPresent) => Ok(Self::default()),
            Err(env::VarError::NotUnicode(_)) => Err(FilterError::NotUtf8),
        }
    }
}

fn parse_level(text: &str) -> Result<LevelFilter, FilterError> {
    // The library would read numbers too, and nothing at all as a level.
    let is_name = text.starts_with(|char: char| char.is_ascii_alphabetic());
    let level = is_name.then(|| text.parse().ok()).flatten();
    level.ok_or_else(|| FilterError::Level(text.to_owned()))
}

fn parse_target(text: &str) -> Result<&str, FilterError> {
    let is_path = |char: char| char.is_alphanumeric() || matches!(char, '_' | '-' | ':');
    if text.is_empty() || !text.chars().all(is_path) {
        return Err(FilterError::Target(text.to_owned()));
    }
    Ok(text)
}

/// The log. The lines that wait are written when it is dropped, if that does not take long.
pub(crate) struct Log {
    set_filter: Box<dyn Fn(Targets)>,
    _end: LogEnd,
}

impl Log {
    /// Logs from now on what `asked` says, or else what the environment does.
    pub(crate) fn set_filter(&self, asked: Option<Filter>) {
        let (Filter(targets), error) = choose(asked);
        (self.set_filter)(targets);
        warn_of(error);
    }
}

/// Logs to stderr from now on, what `asked` says, or else what the environment does.
///
/// # Errors
///
/// When there is no thread to write from.
pub(crate) fn start(asked: Option<Filter>, format: LogFormat) -> io::Result<Log> {
    let (Filter(targets), error) = choose(asked);
    let (writer, end) = log_writer::start(io::stderr(), LINES_MAX, format)?;
    let layer = tracing_subscriber::fmt::layer().with_writer(move || writer.clone());
    let layer = match format {
        LogFormat::Text => layer.with_ansi(is_stderr_coloured()).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    };
    let (targets, handle) = reload::Layer::new(targets);
    tracing_subscriber::registry()
        .with(layer)
        .with(targets)
        .init();
    panic::set_hook(Box::new(log_panic));
    warn_of(error);
    // It fails only when nothing is logged any more.
    let set_filter = Box::new(move |targets| handle.reload(targets).unwrap_or_default());
    Ok(Log {
        set_filter,
        _end: end,
    })
}

/// Logs a panic as everything is logged. Its usual message would wait for stderr.
pub(crate) fn log_panic(panic: &PanicHookInfo<'_>) {
    tracing::error!("{panic}");
}

/// Returns what is to be logged, and what is wrong with what the environment says.
fn choose(asked: Option<Filter>) -> (Filter, Option<FilterError>) {
    match asked.map_or_else(Filter::from_env, Ok) {
        Ok(filter) => (filter, None),
        Err(error) => (Filter::default(), Some(error)),
    }
}

fn warn_of(error: Option<FilterError>) {
    if let Some(error) = error {
        tracing::warn!("the variable {VARIABLE} is ignored: {error}");
    }
}

/// Tells whether colours are wanted: see <https://no-color.org>.
fn is_stderr_coloured() -> bool {
    io::stderr().is_terminal()
        && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// The target of lines that were asked for: they are logged unless somebody says otherwise of it.
pub(crate) const STATE: &str = "state";

/// The environment variable with a filter.
const VARIABLE: &str = "RUST_LOG";

/// The client of NATS, which would log messages and secrets at its lower levels, whatever is asked for.
const SECRETIVE: &str = "async_nats";

/// How many lines wait at most for stderr to take them. A judgement: some hundred kilobytes, and a
/// second or so of a busy server at the level debug.
const LINES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Filter, FilterError> {
        text.parse()
    }

    #[test]
    fn a_part_that_is_not_named_keeps_the_level_of_the_others() {
        let Filter(targets) = parse("chat_server=debug").unwrap();
        assert!(targets.would_enable("chat_server::server", &tracing::Level::DEBUG));
        assert!(targets.would_enable("chat_hub", &tracing::Level::WARN));
        assert!(!targets.would_enable("chat_hub", &tracing::Level::INFO));
    }

    #[test]
    fn what_would_log_messages_never_does() {
        for text in [
            "trace",
            "async_nats=trace",
            "async_nats::connection=trace,debug",
        ] {
            let Filter(targets) = parse(text).unwrap();
            assert!(!targets.would_enable("async_nats::connection", &tracing::Level::ERROR));
        }
    }

    #[test]
    fn levels_have_names() {
        for level in ["off", "error", "warn", "info", "debug", "trace", "WARN"] {
            assert!(parse(level).is_ok(), "{level}");
        }
        assert_eq!(parse(" ,warn,"), Ok(Filter::default()));
        for level in ["foo", "3", "warn=", "a=b=c", "warn,my_app=verbose"] {
            assert!(
                matches!(parse(level), Err(FilterError::Level(_))),
                "{level}"
            );
        }
    }

    #[test]
    fn what_other_programs_understand_is_refused() {
        assert!(parse("my_app[span{id=1}]=debug").is_err());
        assert_eq!(
            parse("my_app[span]=debug"),
            Err(FilterError::Target("my_app[span]".to_owned()))
        );
        assert!(parse("=debug").is_err());
    }
}
