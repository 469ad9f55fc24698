//! The admin socket: commands in lines, answers in lines of JSON.

use std::collections::HashMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, fchmod};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use tracing::info;

use super::answer_all;
use super::places::{Place, Places};
use super::view::{ClientState, View};
use crate::peer::Peer;
use crate::socket_file::SocketFile;

/// A Unix socket for commands.
#[derive(Debug)]
pub(super) struct Admin {
    listener: UnixListener,
    _file: SocketFile,
}

/// A client as it is told, with what it did in each second since it was told last.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) id: u64,
    pub(crate) address: Peer,
    pub(crate) connected_s: f64,
    pub(crate) lag: u64,
    pub(crate) published: u64,
    pub(crate) delivered: u64,
    pub(crate) dropped: u64,
    pub(crate) published_per_s: f64,
    pub(crate) delivered_per_s: f64,
    pub(crate) dropped_per_s: f64,
    pub(crate) is_laggard: bool,
    pub(crate) is_stalled: bool,
}

impl Admin {
    /// Listens at a path that only the same user can open.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // Before it can be seen: Linux gives the file the mode of its socket.
        fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
        let file = SocketFile::bind(&socket, path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        socket.listen(BACKLOG_LEN)?;
        Ok(Self {
            listener: socket.into(),
            _file: file,
        })
    }

    /// Answers commands on threads of their own.
    pub(super) fn serve(&self, view: &View) -> io::Result<()> {
        let listener = self.listener.try_clone()?;
        let places = Places::default();
        let accept = move || {
            let (stream, _) = listener.accept()?;
            Ok(Some(places.take(stream)))
        };
        answer_all("admin", accept, view.clone(), converse)
    }
}

/// Answers the lines of one connection.
fn converse(mut place: Place, view: &View) -> io::Result<()> {
    let stream = place.stream();
    stream.set_read_timeout(Some(IDLE_TIMEOUT))?;
    stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
    let mut lines = BufReader::new(&*stream);
    let mut output = &*stream;
    let mut rates = Rates::default();
    loop {
        let mut line = Vec::new();
        let len = (&mut lines)
            .take(LINE_LEN_MAX)
            .read_until(b'\n', &mut line)?;
        if len == 0 {
            return Ok(());
        }
        place.note_line();
        let is_whole = line.ends_with(b"\n") || (len as u64) < LINE_LEN_MAX;
        let answer = if is_whole {
            answer(&String::from_utf8_lossy(&line), view, &mut rates)
        } else {
            format!("{}\n", json!({ "error": "the line is too long" }))
        };
        output.write_all(answer.as_bytes())?;
        if !is_whole {
            return Ok(());
        }
    }
}

/// Returns the lines that answer a command. The last one has the key `ok` or `error`.
fn answer(line: &str, view: &View, rates: &mut Rates) -> String {
    let words: Vec<_> = line.split_whitespace().collect();
    let last = match words[..] {
        ["state"] => {
            let state = serde_json::to_value(view.state());
            state.map_or_else(error, |state| json!({ "ok": "state", "state": state }))
        }
        ["clients"] => return rates.rows(view.look_at_clients()),
        ["close", which] => close(which, view),
        [] => return String::new(),
        _ => error("the commands are: state, clients, close ADDRESS, close ID"),
    };
    format!("{last}\n")
}

fn error(why: impl ToString) -> Value {
    json!({ "error": why.to_string() })
}

fn close(which: &str, view: &View) -> Value {
    let clients = view.clients();
    let count = if let Ok(id) = which.parse::<u64>() {
        clients.close(|client| client.id() == id)
    } else if let Ok(address) = which.parse::<Peer>() {
        clients.close(|client| client.address() == address)
    } else {
        return error(
            "a client is named by its number or by its address, as in the answer to clients",
        );
    };
    if count == 0 {
        return error("no client is called so");
    }
    info!("somebody had the client {which} closed");
    json!({ "ok": "close", "closed": count })
}

/// What was told last, to tell what has been done since.
#[derive(Debug, Default)]
struct Rates {
    told: Option<Instant>,
    before: HashMap<u64, ClientState>,
}

impl Rates {
    fn rows(&mut self, clients: Vec<ClientState>) -> String {
        let now = Instant::now();
        let period = self.told.replace(now).map(|told| now - told);
        let mut lines = String::new();
        for client in &clients {
            let row = row(client, self.before.get(&client.id), period);
            lines += &serde_json::to_string(&row).unwrap_or_else(|why| error(why).to_string());
            lines.push('\n');
        }
        lines += &format!("{}\n", json!({ "ok": "clients", "clients": clients.len() }));
        self.before = clients
            .into_iter()
            .map(|client| (client.id, client))
            .collect();
        lines
    }
}

fn row(now: &ClientState, before: Option<&ClientState>, period: Option<Duration>) -> Row {
    let period = period.filter(|_| before.is_some());
    let period = period.map_or(now.connected_s, |period| period.as_secs_f64());
    let per_s = |count: fn(&ClientState) -> u64| {
        let done = count(now).saturating_sub(before.map_or(0, count));
        (done as f64 / period.max(0.001)).round()
    };
    Row {
        id: now.id,
        address: now.address,
        connected_s: now.connected_s,
        lag: now.lag,
        published: now.published,
        delivered: now.delivered,
        dropped: now.dropped,
        published_per_s: per_s(|client| client.published),
        delivered_per_s: per_s(|client| client.delivered),
        dropped_per_s: per_s(|client| client.dropped),
        is_laggard: now.is_laggard,
        is_stalled: now.is_stalled,
    }
}

/// How many connections wait to be accepted.
const BACKLOG_LEN: i32 = 8;

/// How long a line may be, in bytes. A judgement: addresses are much shorter.
const LINE_LEN_MAX: u64 = 256;

/// How long a connection may be silent. A judgement: somebody may be typing.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);

/// How long a connection may not take its answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzed;
