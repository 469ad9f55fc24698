//! The state that the threads of the client share: all that happened, and whether it is over.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::TerminalError;
use super::feed::{Entry, Feed, Level, Showing};
use super::statistics::Statistics;
use super::turn::Turn;
use super::view::{BodyForm, View, in_words};
use crate::{Event, LinkError, Received, escape};

/// The link's thread leaves everything here, the printing thread takes it.
#[derive(Debug)]
pub(super) struct Desk {
    /// Guards everything that changes with what happens.
    board: Mutex<Board>,
    /// Tells that there is something to show, or that it is over.
    changed: Condvar,
    pub(super) turn: Turn,
    is_hex: AtomicBool,
}

#[derive(Debug)]
struct Board {
    feed: Feed,
    statistics: Statistics,
    /// Own messages that did not come back before a connection was lost, oldest first.
    unreturned: Vec<Vec<u8>>,
    /// The causes of failed tries to connect, since there was a connection.
    failures: Vec<String>,
    end: Option<End>,
    is_closed: bool,
}

/// Why the client ends, other than that its user wants it.
#[derive(Debug)]
pub(super) enum End {
    Lost(String),
    Terminal(io::Error),
    Signal,
}

impl From<End> for TerminalError {
    fn from(end: End) -> Self {
        match end {
            End::Lost(cause) => Self::Lost(cause),
            End::Terminal(error) => Self::Terminal(error),
            End::Signal => Self::Signal,
        }
    }
}

impl Desk {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        let board = Board {
            feed: Feed::new(now),
            statistics: Statistics::new(now),
            unreturned: Vec::new(),
            failures: Vec::new(),
            end: None,
            is_closed: false,
        };
        Self {
            board: Mutex::new(board),
            changed: Condvar::new(),
            turn: Turn::default(),
            is_hex: AtomicBool::new(false),
        }
    }

    /// Shows something that the client says.
    pub(super) fn say(&self, level: Level, text: impl Into<String>) {
        let text = text.into();
        let mut board = self.lock();
        self.push(&mut board, Entry::Notice { level, text });
    }

    /// Takes note of what happened on the link.
    pub(super) fn note(&self, event: Event<'_>) {
        match event {
            Event::Connected { address } => {
                self.lock().failures.clear();
                self.say(Level::Info, format!("connected to {address}"));
            }
            Event::Received(received) => self.receive(received),
            Event::Lost { count } => {
                self.lock().statistics.lose(count);
                let messages = messages_in_words(count);
                self.say(Level::Warning, format!("{messages} of yours got lost"));
            }
            Event::Overdue { age } => {
                let text = format!("nothing of yours came back for {}", in_words(age));
                self.say(Level::Warning, text + "; is it a chat server?");
            }
            Event::Disconnected {
                error,
                unreturned,
                retry_in,
            } => {
                self.disconnect(&ending(error), unreturned, retry_in);
            }
            Event::Failed { error, retry_in } => self.fail(error.to_string(), retry_in),
        }
    }

    /// Says that there is no connection: with each cause once, not with each try.
    fn fail(&self, cause: String, retry_in: Duration) {
        {
            let failures = &mut self.lock().failures;
            if failures.contains(&cause) {
                return;
            }
            failures.push(cause.clone());
        }
        let next = if retry_in.is_zero() {
            "trying the next address"
        } else {
            "trying again until it works"
        };
        self.say(Level::Warning, format!("{cause}; {next}"));
    }

    fn receive(&self, received: Received<'_>) {
        let now = SystemTime::now();
        let mut board = self.lock();
        let messages = received.messages();
        let bytes = messages.as_bytes().len() as u64;
        board
            .statistics
            .receive(messages.count() as u64, bytes, received.arrived());
        let was_empty = board.feed.is_empty();
        for (body, echo) in received.iter() {
            let body = body.as_bytes();
            let Some(echo) = echo else {
                board.feed.push_other(body, now);
                continue;
            };
            let round_trip = echo.sent_at.map(|at| received.arrived().duration_since(at));
            if let Some(time) = round_trip {
                board.statistics.return_after(time);
            }
            let body = body.to_vec();
            board.feed.push(Entry::Own {
                body,
                at: now,
                round_trip,
            });
        }
        if was_empty {
            self.changed.notify_all();
        }
    }

    /// Says that the connection is gone and what did not come back, or that it is over.
    fn disconnect(&self, cause: &str, unreturned: Vec<Vec<u8>>, retry_in: Option<Duration>) {
        let Some(wait) = retry_in else {
            self.name(&unreturned);
            // It is the error that the client ends with.
            return self.end(End::Lost(cause.to_owned()));
        };
        self.say(Level::Warning, with_retry(cause, wait));
        self.name(&unreturned);
        if unreturned.is_empty() {
            return;
        }
        let is_one = unreturned.len() == 1;
        let them = match self.keep(unreturned) {
            0 if is_one => "it".to_owned(),
            0 => "them".to_owned(),
            _ => format!("the last {UNRETURNED_MAX}"),
        };
        self.say(Level::Info, format!("Alt-R or /resend sends {them} again"));
    }

    /// Names own messages that did not come back.
    fn name(&self, unreturned: &[Vec<u8>]) {
        let count = unreturned.len();
        for body in unreturned.iter().take(NAMED_MAX) {
            self.say(
                Level::Warning,
                format!("did not come back: {}", escape(body)),
            );
        }
        if let Some(more @ 1..) = count.checked_sub(NAMED_MAX) {
            self.say(Level::Warning, format!("and {more} more"));
        }
    }

    /// Keeps messages for sending them again. Returns how many are too many for that.
    fn keep(&self, mut unreturned: Vec<Vec<u8>>) -> usize {
        let mut board = self.lock();
        board.unreturned.append(&mut unreturned);
        let too_many = board.unreturned.len().saturating_sub(UNRETURNED_MAX);
        board.unreturned.drain(..too_many);
        too_many
    }

    pub(super) fn take_unreturned(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.lock().unreturned)
    }

    /// Keeps messages again that were taken and not sent. Others may have been kept meanwhile.
    pub(super) fn put_back(&self, mut unreturned: Vec<Vec<u8>>) {
        let mut board = self.lock();
        unreturned.append(&mut board.unreturned);
        board.unreturned = unreturned;
    }

    pub(super) fn count_sent(&self, bytes: usize) {
        self.lock().statistics.send(bytes as u64);
    }

    pub(super) fn statistics(&self) -> Vec<String> {
        self.lock().statistics.lines(Instant::now())
    }

    /// Changes between text and bytes. Returns whether messages are shown as bytes now.
    pub(super) fn toggle_hex(&self) -> bool {
        // Relaxed: it concerns nothing but itself.
        !self.is_hex.fetch_xor(true, Ordering::Relaxed)
    }

    fn form(&self) -> BodyForm {
        // Relaxed: as above.
        match self.is_hex.load(Ordering::Relaxed) {
            true => BodyForm::Hex,
            false => BodyForm::Text,
        }
    }

    /// Ends the client; the first cause counts.
    pub(super) fn end(&self, end: End) {
        self.lock().end.get_or_insert(end);
        self.changed.notify_all();
    }

    /// Returns whether the client is to end, and is not ending yet.
    pub(super) fn is_ended(&self) -> bool {
        let board = self.lock();
        board.end.is_some() && !board.is_closed
    }

    /// Waits until the client is to end; returns false if it was closed instead.
    pub(super) fn wait_for_end(&self) -> bool {
        let mut board = self.lock();
        while board.end.is_none() && !board.is_closed {
            board = self
                .changed
                .wait(board)
                .unwrap_or_else(PoisonError::into_inner);
        }
        board.end.is_some()
    }

    pub(super) fn take_end(&self) -> Option<End> {
        self.lock().end.take()
    }

    /// Shows everything that happens, a bundle at a time, until the desk is closed. The client ends
    /// when printing fails.
    pub(super) fn show_all(
        &self,
        view: &mut View,
        columns: impl Fn() -> usize,
        mut print: impl FnMut(String) -> io::Result<()>,
    ) {
        while self.wait_for_entries() && self.turn.begin_printing() {
            let showing = self.lock().feed.take(Instant::now());
            let lines = view.render(showing, self.form(), columns());
            let printed = if lines.is_empty() {
                // A flood begins. There will be nothing to see of this.
                self.turn.show();
                Ok(())
            } else {
                print(lines)
            };
            self.turn.end_printing();
            if let Err(error) = printed {
                return self.end(End::Terminal(error));
            }
            thread::sleep(BUNDLE_TIME);
        }
    }

    /// Lets nothing be shown any more, but by [`Self::rest`].
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
        self.turn.close();
    }

    /// Returns the lines that have not been shown.
    pub(super) fn rest(&self, view: &mut View, columns: usize) -> String {
        let showing: Showing = self.lock().feed.take_rest(Instant::now());
        view.render(showing, self.form(), columns)
    }

    fn wait_for_entries(&self) -> bool {
        let mut board = self.lock();
        loop {
            if board.is_closed {
                return false;
            }
            let wait = match board.feed.is_empty() {
                true => Duration::MAX,
                false => board.feed.wait(Instant::now()),
            };
            if wait.is_zero() {
                return true;
            }
            let wait = wait.min(Duration::from_secs(60));
            let result = self.changed.wait_timeout(board, wait);
            board = result.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn push(&self, board: &mut Board, entry: Entry) {
        board.feed.push(entry);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn messages_in_words(count: u64) -> String {
    match count {
        1 => "1 message".to_owned(),
        _ => format!("{count} messages"),
    }
}

fn ending(error: &LinkError) -> String {
    match error {
        LinkError::Io(error) => format!("lost the connection: {error}"),
        LinkError::Asked => "left the connection".to_owned(),
        error => error.to_string(),
    }
}

fn with_retry(cause: &str, wait: Duration) -> String {
    if wait < WAIT_TOLD {
        format!("{cause}; connecting again")
    } else {
        format!("{cause}; connecting again in {}", in_words(wait))
    }
}

/// How long to wait between two bundles. A judgement: nobody sees it, and the terminal is not
/// written to more often.
const BUNDLE_TIME: Duration = Duration::from_millis(50);

/// From what time on it is told how long the client waits. A judgement.
const WAIT_TOLD: Duration = Duration::from_secs(2);

/// How many of the messages that did not come back are named. A judgement.
const NAMED_MAX: usize = 5;

/// How many are kept for sending them again. A judgement.
const UNRETURNED_MAX: usize = 1000;
