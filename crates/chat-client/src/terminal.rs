//! A client for people, on a terminal.
//!
//! The line that is typed stays at the bottom, and messages appear above it. One's own are shown
//! once, when they come back. Nothing that anybody sends can control the terminal or look like the
//! prompt. The connection is made again when it was lost; see [`Link`].
//!
//! # Threads
//!
//! One edits the line and sends it, without ever waiting for the socket. One reads the socket at
//! full speed into a bounded ring. One prints what is in the ring, up to twenty times a second;
//! messages that come faster than anybody reads are summed up once a second.
//!
//! # Limits
//!
//! It does not take the whole screen, and keeps no messages: scrolling back is the terminal's.

mod chat;
mod desk;
mod editor;
mod feed;
mod history;
mod nick;
mod plain;
mod rows;
mod screen;
mod statistics;
mod tty;
mod turn;
mod view;

use std::env;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use jiff::tz::TimeZone;

use self::chat::Chat;
use self::desk::{Desk, messages_in_words};
use self::feed::Level;
use self::view::View;
use crate::{Address, Link, LinkOptions, StartError};

pub use self::nick::{Nick, NickError};
pub use self::view::Colours;

/// The options of the client.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// The name before one's messages.
    pub nick: Option<Nick>,
    /// Whether a line that is too long for a message is refused or split.
    pub long_lines: LongLines,
    /// How to connect, and whether to connect again.
    pub link: LinkOptions,
    /// The abilities of the terminal.
    pub display: Display,
    /// Whether there are colours.
    pub colours: Colours,
    /// Where the lines that were typed are kept; nowhere if it is `None`.
    pub history: Option<PathBuf>,
}

/// How to treat a line that is too long for a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LongLines {
    /// It is not sent, and can be made shorter.
    #[default]
    Refuse,
    /// It is sent as several messages, cut between words or characters.
    Split,
}

/// The abilities of a terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Display {
    /// It understands escape sequences.
    #[default]
    Screen,
    /// Lines are all that is ever printed, as screen readers and `TERM=dumb` want it.
    Lines,
}

/// Says why the client ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TerminalError {
    /// There was no connection to begin with.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The connection was lost, and another is not wanted.
    #[error("{0}")]
    Lost(String),
    /// The terminal cannot be read, written or set up.
    #[error("the terminal failed: {0}")]
    Terminal(#[source] io::Error),
    /// The line editor failed.
    #[error("the terminal failed: {0}")]
    Editor(#[from] rustyline::error::ReadlineError),
    /// A signal ended it.
    #[error("ended by a signal")]
    Signal,
}

impl Options {
    /// Reads the environment: `TERM=dumb` stands for plain lines, `NO_COLOR` for no
    /// colours (<https://no-color.org>), and `XDG_STATE_HOME` or `HOME` for the place of the history.
    pub fn from_env() -> Self {
        let is_dumb = env::var_os("TERM").is_none_or(|term| DUMB.iter().any(|dumb| term == *dumb));
        let is_colourless = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            display: if is_dumb {
                Display::Lines
            } else {
                Display::Screen
            },
            colours: if is_dumb || is_colourless {
                Colours::Off
            } else {
                Colours::On
            },
            history: history::default_path(),
            ..Self::default()
        }
    }
}

/// Connects the terminal, which has to be standard input and standard output, to the first of the
/// servers at `addresses` that serves it, until the user has enough; see [`Link::connect`].
///
/// It is made for a process that has nothing else to do: it takes the signals SIGHUP, SIGINT and
/// SIGTERM, and the process is not to go on long after it, since threads may still wait for keys.
///
/// # Errors
///
/// [`TerminalError`] when there is no connection to begin with, when it was lost and another is not
/// wanted, or when the terminal fails. The terminal is in order again then, too.
///
/// # Examples
///
/// ```no_run
/// use std::io::{IsTerminal, stdin, stdout};
/// use chat_client::terminal::{self, LongLines, Options};
///
/// let mut options = Options::from_env();
/// options.nick = Some("ann".parse()?);
/// options.long_lines = LongLines::Split;
/// if stdin().is_terminal() && stdout().is_terminal() {
///     terminal::run(&["127.0.0.1:8080".parse()?], &options)?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn run(addresses: &[Address], options: &Options) -> Result<(), TerminalError> {
    let desk = Arc::new(Desk::new());
    let noting = Arc::clone(&desk);
    let link = Link::connect(addresses, options.link.clone(), move |event| {
        noting.note(event)
    })?;
    let chat = Chat {
        link: Arc::new(link),
        desk,
        nick: options.nick.clone(),
        long_lines: options.long_lines,
    };
    match options.display {
        Display::Screen => {
            let view = View::on_screen(options.colours, TimeZone::system());
            screen::run(chat, view, options)
        }
        Display::Lines => plain::run(chat, View::in_lines(TimeZone::system())),
    }
}

/// Waits for the messages under way, and shows everything that has not been shown.
fn leave(chat: &Chat, view: &mut View, is_connected: bool) {
    let timeout = if is_connected {
        FINISH_TIMEOUT
    } else {
        Duration::ZERO
    };
    let count = chat.link.finish(timeout);
    if count > 0 && is_connected {
        let messages = messages_in_words(count);
        chat.desk.say(
            Level::Warning,
            format!("{messages} of yours did not come back"),
        );
    }
    // The terminal may be gone.
    let _ = tty::write(&chat.desk.rest(view, tty::columns()));
    if !is_connected {
        thread::sleep(TYPING_TIME);
    }
}

/// The values of `TERM` for terminals that can do nothing; the line editor knows the last three.
const DUMB: [&str; 4] = ["", "dumb", "cons25", "emacs"];

/// How long to wait for messages under way in the end. A judgement: as long as people do.
const FINISH_TIMEOUT: Duration = Duration::from_secs(2);

/// How long somebody types on when it is suddenly over. A judgement: between two keys.
const TYPING_TIME: Duration = Duration::from_millis(300);
