//! What is logged to stderr. The chat never waits for it: lines that nobody reads are dropped and
//! counted.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::panic;
use std::str::FromStr;
use std::sync::Mutex;

use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

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
        Self(Targets::new().with_default(LevelFilter::WARN))
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

/// Logs to stderr from now on, what `asked` says, or else what the environment does. The lines that
/// wait are written when the guard is dropped, if that does not take long.
pub(crate) fn start(asked: Option<Filter>) -> WorkerGuard {
    let (filter, error) = match asked.map_or_else(Filter::from_env, Ok) {
        Ok(filter) => (filter, None),
        Err(error) => (Filter::default(), Some(error)),
    };
    let (out, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(LINES_MAX)
        .thread_name("log")
        .finish(io::stderr());
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(Mutex::new(LossyWriter::new(out)))
        .with_ansi(is_stderr_coloured());
    let Filter(targets) = filter;
    tracing_subscriber::registry()
        .with(layer)
        .with(targets)
        .init();
    // A panic is logged as everything is. Its usual message would wait for stderr.
    panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
    if let Some(error) = error {
        tracing::warn!("the variable {VARIABLE} is ignored: {error}");
    }
    guard
}

/// Tells whether colours are wanted: see <https://no-color.org>.
fn is_stderr_coloured() -> bool {
    io::stderr().is_terminal()
        && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Writes lines as far as there is room for them, and then says how many were dropped.
struct LossyWriter {
    out: NonBlocking,
    counter: ErrorCounter,
    /// How many lines were dropped that nothing was said of.
    dropped: usize,
}

impl LossyWriter {
    fn new(out: NonBlocking) -> Self {
        Self {
            counter: out.error_counter(),
            out,
            dropped: 0,
        }
    }

    /// Writes a line, or returns `false` when there is no room for it.
    fn put(&mut self, line: &[u8]) -> io::Result<bool> {
        let dropped = self.counter.dropped_lines();
        self.out.write_all(line)?;
        Ok(self.counter.dropped_lines() == dropped)
    }
}

impl Write for LossyWriter {
    /// Writes one line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.dropped > 0 {
            let notice = format!("{} lines of the log were dropped here\n", self.dropped);
            if self.put(notice.as_bytes())? {
                self.dropped = 0;
            }
        }
        if !self.put(line)? {
            self.dropped += 1;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The environment variable with a filter.
const VARIABLE: &str = "RUST_LOG";

/// How many lines wait at most for stderr to take them. A judgement: some hundred kilobytes, and a
/// second or so of a busy server at the level debug.
const LINES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

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

    #[test]
    fn dropped_lines_are_counted_and_told_when_there_is_room_again() {
        let (opened, gate) = io::pipe().unwrap();
        let shown = Arc::new(Mutex::new(Vec::new()));
        let stuck = Stuck {
            shown: Arc::clone(&shown),
            opened,
        };
        let (out, guard) = NonBlockingBuilder::default()
            .buffered_lines_limit(2)
            .finish(stuck);
        let mut writer = LossyWriter::new(out);
        let mut written = 0;
        let mut write_line = |writer: &mut LossyWriter| {
            writer.write_all(b"line\n").unwrap();
            written += 1;
        };
        for _ in 0..10 {
            write_line(&mut writer);
        }
        // The thread that writes holds one line, and two wait.
        assert!((7..=8).contains(&writer.dropped), "{}", writer.dropped);
        drop(gate);
        while writer.dropped > 0 {
            write_line(&mut writer);
        }
        drop(guard);
        let shown = String::from_utf8(shown.lock().unwrap().clone()).unwrap();
        let (lines, notices): (Vec<_>, Vec<_>) = shown.lines().partition(|line| *line == "line");
        let told = notices
            .iter()
            .map(|notice| notice.split(' ').next().unwrap().parse::<usize>().unwrap());
        assert!(!notices.is_empty());
        assert_eq!(lines.len() + told.sum::<usize>(), written, "{shown}");
    }

    /// Takes nothing until a pipe is closed.
    struct Stuck {
        shown: Arc<Mutex<Vec<u8>>>,
        opened: io::PipeReader,
    }

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            io::copy(&mut self.opened, &mut io::sink())?;
            self.shown.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}
