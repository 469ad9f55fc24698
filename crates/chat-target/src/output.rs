//! What the server prints: drained all the time, the last of it kept.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::Child;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{fmt, thread};

/// The two output streams of the server, each drained by a thread, so that a server that talks is
/// never blocked by it.
#[derive(Debug)]
pub(crate) struct Output {
    stdout: Arc<Drained>,
    stderr: Arc<Drained>,
}

impl Output {
    /// Takes and drains the output of `child`. What comes on standard error goes to `log`, too. The ready
    /// line is the first that ends in `ready_suffix`, of those that start as it does.
    ///
    /// # Errors
    ///
    /// When there is no thread for it.
    pub(crate) fn drain(
        child: &mut Child,
        log: Option<File>,
        ready_suffix: &'static str,
    ) -> io::Result<Self> {
        Ok(Self {
            stdout: Drained::start(child.stdout.take(), None, ready_suffix)?,
            stderr: Drained::start(child.stderr.take(), log, "")?,
        })
    }

    /// Returns what the ready line names, if there was one, after waiting for it until `timeout` is
    /// over or standard output ends.
    pub(crate) fn wait_ready(&self, timeout: Duration) -> Option<String> {
        let mut tail = self.stdout.tail();
        if tail.ready_addr.is_none() {
            // Once the stream has ended there is no news, and so no loop without a pause.
            let waited = self.stdout.news.wait_timeout(tail, timeout);
            (tail, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        tail.ready_addr.clone()
    }

    /// Returns why the log of standard error could not be written to its end, if that was so.
    pub(crate) fn log_error(&self) -> Option<io::Error> {
        self.stderr.tail().log_error.take()
    }

    /// Returns how many lines standard output had.
    pub(crate) fn stdout_line_count(&self) -> u64 {
        self.stdout.tail().line_count
    }

    /// Returns the last lines of both streams, after waiting up to `timeout` for their ends.
    pub(crate) fn last_lines(&self, timeout: Duration) -> LastLines {
        let deadline = Instant::now() + timeout;
        while !(self.stdout.tail().has_ended && self.stderr.tail().has_ended)
            && Instant::now() < deadline
        {
            thread::sleep(DRAIN_POLL_INTERVAL);
        }
        LastLines {
            stdout: self.stdout.tail().last_lines(),
            stderr: self.stderr.tail().last_lines(),
        }
    }
}

/// The last lines that the server printed. Displayed, they follow a sentence about the server.
#[derive(Debug)]
pub struct LastLines {
    stdout: Vec<String>,
    stderr: Vec<String>,
}

impl LastLines {
    /// Returns the last lines of standard output, control characters escaped.
    pub fn stdout(&self) -> &[String] {
        &self.stdout
    }

    /// Returns the last lines of standard error, control characters escaped.
    pub fn stderr(&self) -> &[String] {
        &self.stderr
    }
}

impl fmt::Display for LastLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, lines) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if lines.is_empty() {
                write!(f, "\nit printed no whole line on {name}")?;
                continue;
            }
            write!(f, "\nthe last it printed on {name}:")?;
            for line in lines {
                write!(f, "\n  {line}")?;
            }
        }
        Ok(())
    }
}

/// A stream and what was read from it.
#[derive(Debug, Default)]
struct Drained {
    /// Guards what the draining thread writes and the main thread reads.
    tail: Mutex<Tail>,
    /// Tells of the ready line, and of the end of the stream.
    news: Condvar,
    /// How the ready line ends.
    ready_suffix: &'static str,
}

impl Drained {
    /// Drains a stream in a thread of its own, which ends with the stream.
    fn start(
        stream: Option<impl Read + Send + 'static>,
        log: Option<File>,
        ready_suffix: &'static str,
    ) -> io::Result<Arc<Self>> {
        let drained = Arc::new(Self {
            ready_suffix,
            ..Self::default()
        });
        let filled = Arc::clone(&drained);
        let drain = move || {
            if let Some(stream) = stream {
                filled.fill(Logged {
                    stream,
                    log,
                    drained: &filled,
                });
            }
            filled.tail().has_ended = true;
            filled.news.notify_all();
        };
        let thread = thread::Builder::new().name("output".to_owned());
        thread.spawn(drain).map(|_| drained)
    }

    /// Reads a stream to its end.
    fn fill(&self, stream: impl Read) {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        loop {
            line.clear();
            let begun = |beginning: &[u8]| self.tail().unfinished = beginning.to_vec();
            match read_line(&mut stream, &mut line, begun) {
                Ok(true) => self.push(&line),
                // A stream that fails has ended too.
                Ok(false) | Err(_) => return,
            }
        }
    }

    fn push(&self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        let mut tail = self.tail();
        tail.unfinished.clear();
        tail.push(printable(&line));
        let ready_addr = line
            .strip_prefix(READY_PREFIX)
            .and_then(|addr| addr.strip_suffix(self.ready_suffix));
        if let (None, Some(addr)) = (&tail.ready_addr, ready_addr) {
            tail.ready_addr = Some(addr.to_owned());
            self.news.notify_all();
        }
    }

    fn tail(&self) -> MutexGuard<'_, Tail> {
        // Every change leaves the tail in order, so a panic elsewhere does not spoil it.
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream that is written to a file, too, as it is read.
struct Logged<'a, S> {
    stream: S,
    log: Option<File>,
    drained: &'a Drained,
}

impl<S: Read> Read for Logged<'_, S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.stream.read(buf)?;
        // A log that cannot be written is no reason to stop the server.
        if let Some(log) = &mut self.log
            && let Err(error) = log.write_all(&buf[..len])
        {
            self.log = None;
            self.drained.tail().log_error = Some(error);
        }
        Ok(len)
    }
}

/// The end of a stream.
#[derive(Debug, Default)]
struct Tail {
    // Invariant: lines.len() <= LINES_MAX.
    lines: VecDeque<String>,
    line_count: u64,
    /// The beginning of a line whose end has not come.
    unfinished: Vec<u8>,
    /// What is between [`READY_PREFIX`] and the suffix in the first ready line.
    ready_addr: Option<String>,
    /// Why the log could not be written to its end.
    log_error: Option<io::Error>,
    has_ended: bool,
}

impl Tail {
    fn push(&mut self, line: String) {
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
        self.line_count += 1;
    }

    /// Returns the last lines, and the beginning of one whose end has not come.
    fn last_lines(&self) -> Vec<String> {
        let unfinished = String::from_utf8_lossy(&self.unfinished);
        let unfinished = (!unfinished.is_empty())
            .then(|| format!("{} (and no end of the line)", printable(&unfinished)));
        self.lines.iter().cloned().chain(unfinished).collect()
    }
}

/// Reads a line, without its end, and tells whether there was one. Of a line that is too long only
/// the beginning is kept.
///
/// `begun` is told the beginning of one that comes in pieces.
fn read_line(
    stream: &mut impl BufRead,
    line: &mut Vec<u8>,
    mut begun: impl FnMut(&[u8]),
) -> io::Result<bool> {
    let mut has_begun = false;
    loop {
        let available = match stream.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            available => available?,
        };
        if available.is_empty() {
            return Ok(has_begun);
        }
        has_begun = true;
        let (piece, used, is_whole) = match available.iter().position(|&byte| byte == b'\n') {
            Some(end) => (&available[..end], end + 1, true),
            None => (available, available.len(), false),
        };
        let room = LINE_LEN_MAX - line.len();
        line.extend_from_slice(&piece[..piece.len().min(room)]);
        stream.consume(used);
        if is_whole {
            return Ok(true);
        }
        begun(line);
    }
}

/// Makes a line harmless for a terminal.
fn printable(line: &str) -> String {
    let mut printable = String::with_capacity(line.len());
    for char in line.chars() {
        if char.is_control() {
            printable.extend(char.escape_default())
        } else {
            printable.push(char)
        }
    }
    printable
}

/// How a ready line starts.
///
/// Source: the specification, rule 2.
const READY_PREFIX: &str = "listening on ";

/// How many lines of a stream are kept. A judgement: a panic with its backtrace.
const LINES_MAX: usize = 32;

/// How many bytes of a line are kept. A judgement.
const LINE_LEN_MAX: usize = 1000;

/// How often it is looked whether a stream has ended.
const DRAIN_POLL_INTERVAL: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(stream: &[u8], expected: &[&str]) {
        for buf_len in [1, 2, 7, 8192] {
            let mut stream = BufReader::with_capacity(buf_len, stream);
            let mut lines = Vec::new();
            let mut line = Vec::new();
            while read_line(&mut stream, &mut line, |_| ()).unwrap() {
                lines.push(String::from_utf8(std::mem::take(&mut line)).unwrap());
            }
            assert_eq!(lines, expected, "with a buffer of {buf_len}");
        }
    }

    #[test]
    fn lines_end_at_line_feeds_and_at_the_end() {
        check(b"", &[]);
        check(b"\n", &[""]);
        check(b"one\n\nthree", &["one", "", "three"]);
    }

    #[test]
    fn a_long_line_keeps_its_beginning() {
        let long = "x".repeat(LINE_LEN_MAX);
        check(format!("{long}yz\nnext\n").as_bytes(), &[&long, "next"]);
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(
            printable("it's \u{1b}[31mred\r, \u{fc}"),
            "it's \\u{1b}[31mred\\r, \u{fc}"
        );
    }

    #[test]
    fn the_last_lines_are_kept() {
        let mut tail = Tail::default();
        for n in 0..LINES_MAX + 3 {
            tail.push(n.to_string());
        }
        assert_eq!(
            (tail.lines.len(), tail.lines.front().map(String::as_str)),
            (LINES_MAX, Some("3"))
        );
    }
}
