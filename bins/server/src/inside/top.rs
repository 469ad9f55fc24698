//! `chat-server top`: the clients in a table, the worst first.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use clap::ValueEnum;
use rustix::termios::tcgetwinsize;
use serde::Deserialize;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::admin::Row;

/// Shows the clients of a server that runs, the worst first, again and again until Ctrl-C.
///
/// A client is closed by its number: echo close 7 | nc -U PATH
#[derive(Debug, clap::Args)]
pub(crate) struct Top {
    /// The admin socket of the server
    #[arg(long, value_name = "PATH", env = "CHAT_SERVER_ADMIN")]
    admin: PathBuf,

    /// What the worst clients have most of
    #[arg(long, value_enum, default_value_t)]
    by: By,

    /// How long to wait between two looks
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = parse_interval)]
    interval: Duration,

    /// Print all clients once; so it is where stdout is no terminal
    #[arg(long)]
    once: bool,
}

/// What clients are sorted by.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum By {
    /// Bytes that it has yet to take
    #[default]
    Lag,
    /// Messages that it loses each second, and has lost
    Drops,
    /// Messages that it sends and takes each second
    Rate,
}

fn parse_interval(text: &str) -> Result<Duration, String> {
    let interval = chat_units::parse_duration(text).map_err(|error| error.to_string())?;
    if interval < INTERVAL_MIN {
        return Err(format!("it is at least {INTERVAL_MIN:?}"));
    }
    Ok(interval)
}

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TopError {
    #[error("cannot ask the server at {path}: {source}{}", hint(source), path = .path.display())]
    Server { path: PathBuf, source: io::Error },
    #[error("cannot show the table: {0}")]
    Terminal(io::Error),
    #[error("cannot wait for signals: {0}")]
    Signals(io::Error),
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            "; does it run with --admin and this path?"
        }
        io::ErrorKind::PermissionDenied => "; the socket is for the user that runs the server",
        _ => "",
    }
}

impl Top {
    /// Shows the table until a signal says to end.
    pub(crate) fn run(&self) -> Result<(), TopError> {
        let failed = |source| TopError::Server {
            path: self.admin.clone(),
            source,
        };
        let mut server = Server::connect(&self.admin).map_err(failed)?;
        if self.once || !io::stdout().is_terminal() {
            let mut look = server.look().map_err(failed)?;
            look.sort(self.by);
            return show(&look.table(usize::MAX, usize::MAX)).map_err(TopError::Terminal);
        }
        let ended = signals().map_err(TopError::Signals)?;
        let _screen = Screen::begin().map_err(TopError::Terminal)?;
        loop {
            let mut look = server.look().map_err(failed)?;
            look.sort(self.by);
            let (row_count, column_count) = size();
            let table = look.table(row_count, column_count);
            let table = table.trim_end().replace('\n', "\x1b[K\r\n");
            show(&format!("\x1b[H{table}\x1b[K\x1b[J")).map_err(TopError::Terminal)?;
            match ended.recv_timeout(self.interval) {
                Err(RecvTimeoutError::Timeout) => {}
                _ => return Ok(()),
            }
        }
    }
}

/// Returns how many rows and columns the terminal has, or what most have if it does not say.
fn size() -> (usize, usize) {
    let size = tcgetwinsize(io::stdout()).ok();
    let size = size.filter(|size| size.ws_row > 0 && size.ws_col > 0);
    size.map_or((24, 80), |size| (size.ws_row.into(), size.ws_col.into()))
}

fn show(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Returns what ends when a signal comes that is for ending.
fn signals() -> io::Result<mpsc::Receiver<()>> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let (ended, receiver) = mpsc::channel();
    thread::Builder::new().spawn(move || {
        signals.forever().next();
        drop(ended);
    })?;
    Ok(receiver)
}

/// The other screen of the terminal, which is left when this is dropped.
struct Screen;

impl Screen {
    fn begin() -> io::Result<Self> {
        show("\x1b[?1049h\x1b[?25l\x1b[2J")?;
        Ok(Self)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = show("\x1b[?25h\x1b[?1049l");
    }
}

/// The server's end of the admin socket.
struct Server {
    output: UnixStream,
    lines: io::Lines<BufReader<UnixStream>>,
}

impl Server {
    fn connect(path: &PathBuf) -> io::Result<Self> {
        let output = UnixStream::connect(path)?;
        output.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        let lines = BufReader::new(output.try_clone()?).lines();
        Ok(Self { output, lines })
    }

    /// Asks for everything that is shown.
    fn look(&mut self) -> io::Result<Look> {
        self.output.write_all(b"state\nclients\n")?;
        let state: Answer = self.read()?;
        let mut rows = Vec::new();
        let state = state.state.ok_or(io::ErrorKind::InvalidData)?;
        loop {
            let line = self.line()?;
            match serde_json::from_str::<Row>(&line) {
                Ok(row) => rows.push(row),
                Err(_) => break,
            }
        }
        Ok(Look { state, rows })
    }

    fn read<T: for<'a> Deserialize<'a>>(&mut self) -> io::Result<T> {
        let line = self.line()?;
        serde_json::from_str(&line).map_err(io::Error::from)
    }

    fn line(&mut self) -> io::Result<String> {
        let gone = || io::Error::new(io::ErrorKind::UnexpectedEof, "the server has ended");
        self.lines.next().ok_or_else(gone)?
    }
}

#[derive(Deserialize)]
struct Answer {
    state: Option<Totals>,
}

#[derive(Debug, Deserialize)]
struct Totals {
    clients: usize,
    laggards: usize,
    stalled: usize,
    published: u64,
    delivered: u64,
    dropped: u64,
    log_bytes: u64,
    is_ending: bool,
}

/// What is shown.
struct Look {
    state: Totals,
    rows: Vec<Row>,
}

impl Look {
    fn sort(&mut self, by: By) {
        let order = |one: &Row, other: &Row| match by {
            By::Lag => one.lag.cmp(&other.lag),
            By::Drops => one
                .dropped_per_s
                .total_cmp(&other.dropped_per_s)
                .then(one.dropped.cmp(&other.dropped)),
            By::Rate => rate(one).total_cmp(&rate(other)),
        };
        self.rows
            .sort_by(|one, other| order(other, one).then(one.id.cmp(&other.id)));
    }

    /// Returns as many rows of the table as there is room for.
    fn table(&self, row_count: usize, column_count: usize) -> String {
        let Totals {
            clients,
            laggards,
            stalled,
            published,
            delivered,
            dropped,
            log_bytes,
            is_ending,
        } = &self.state;
        let ending = if *is_ending { "ending, " } else { "" };
        let mut table = format!(
            "{ending}{clients} clients, {laggards} do not keep up, {stalled} take nothing; {log_bytes} bytes in the log\n\
             {published} messages received, {delivered} delivered, {dropped} dropped\n\n\
             {:>8} {:<24} {:>10} {:>12} {:>10} {:>10} {:>10} {:>12}  HOW\n",
            "ID", "ADDRESS", "CONNECTED", "LAG BYTES", "SENT/S", "TAKEN/S", "LOST/S", "LOST"
        );
        for row in self.rows.iter().take(row_count.saturating_sub(HEAD_ROWS)) {
            table += &line(row);
        }
        let cut = |line: &str| line.chars().take(column_count).collect::<String>();
        table
            .lines()
            .fold(String::new(), |all, line| all + &cut(line) + "\n")
    }
}

fn rate(row: &Row) -> f64 {
    row.published_per_s + row.delivered_per_s
}

fn line(row: &Row) -> String {
    let how = match (row.is_stalled, row.is_laggard) {
        (true, _) => "stalled",
        (_, true) => "behind",
        _ => "",
    };
    let mut line = String::new();
    let _ = writeln!(
        line,
        "{:>8} {:<24} {:>9.0}s {:>12} {:>10} {:>10} {:>10} {:>12}  {how}",
        row.id,
        row.address.to_string(),
        row.connected_s,
        row.lag,
        row.published_per_s,
        row.delivered_per_s,
        row.dropped_per_s,
        row.dropped
    );
    line.trim_end().to_owned() + "\n"
}

/// How many lines are above the clients.
const HEAD_ROWS: usize = 4;

/// The shortest time between two looks: each takes a short lock for each client.
const INTERVAL_MIN: Duration = Duration::from_millis(100);

/// How long the server may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: u64, lag: u64, dropped: u64, rate: f64) -> Row {
        Row {
            id,
            address: "192.0.2.1:4000".parse().unwrap(),
            connected_s: 1.0,
            lag,
            published: 0,
            delivered: 0,
            dropped,
            published_per_s: rate,
            delivered_per_s: 0.0,
            dropped_per_s: 0.0,
            is_laggard: false,
            is_stalled: false,
        }
    }

    #[test]
    fn the_worst_come_first_and_as_many_as_there_is_room_for() {
        let state = Totals {
            clients: 3,
            laggards: 0,
            stalled: 0,
            published: 0,
            delivered: 0,
            dropped: 0,
            log_bytes: 0,
            is_ending: false,
        };
        let rows = vec![row(1, 30, 0, 2.0), row(2, 10, 9, 1.0), row(3, 20, 5, 3.0)];
        let mut look = Look { state, rows };
        for (by, expected) in [
            (By::Lag, [1, 3, 2]),
            (By::Drops, [2, 3, 1]),
            (By::Rate, [3, 1, 2]),
        ] {
            look.sort(by);
            assert_eq!(
                look.rows.iter().map(|row| row.id).collect::<Vec<_>>(),
                expected
            );
        }
        let table = look.table(6, 30);
        assert_eq!(table.lines().count(), 6);
        assert!(table.lines().all(|line| line.len() <= 30), "{table}");
    }
}
