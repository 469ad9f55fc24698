//! A terminal with the client on it, and a screen to look at.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

/// How long anything may take. A loaded machine is patient.
const DEADLINE: Duration = Duration::from_secs(30);

/// What stands below the prompt until something is typed.
pub(crate) const HINT: &str = "/help lists the commands";

/// How a client is started on a terminal.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) args: Vec<String>,
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) rows: u16,
    pub(crate) columns: u16,
}

impl Setup {
    /// A client of the server at `address`, on a terminal of 24 rows and 80 columns, with a
    /// directory of its own for its history.
    pub(crate) fn new(address: &str) -> Self {
        let state = state_directory();
        Self {
            args: vec![address.to_owned()],
            variables: vec![
                ("TERM".to_owned(), "xterm-256color".to_owned()),
                ("TZ".to_owned(), "UTC".to_owned()),
                ("XDG_STATE_HOME".to_owned(), state.display().to_string()),
            ],
            rows: 24,
            columns: 80,
        }
    }

    pub(crate) fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    /// Sets a variable of its environment.
    pub(crate) fn variable(mut self, name: &str, value: impl AsRef<Path>) -> Self {
        self.variables.retain(|(other, _)| other != name);
        let value = value.as_ref().display().to_string();
        self.variables.push((name.to_owned(), value));
        self
    }

    pub(crate) fn size(mut self, rows: u16, columns: u16) -> Self {
        (self.rows, self.columns) = (rows, columns);
        self
    }

    pub(crate) fn start(&self) -> Terminal {
        Terminal::start(self)
    }
}

/// A directory that no other test has.
pub(crate) fn state_directory() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("state-{}-{count}", std::process::id());
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// A client on a terminal. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Terminal {
    child: Child,
    controller: File,
    /// The client's end, which is kept so that it can be looked at after the client.
    peer: OwnedFd,
    shown: Arc<Mutex<Shown>>,
    /// Locked while nobody takes what the client writes.
    taking: Arc<Mutex<()>>,
}

/// What the client wrote, and the screen that came of it.
struct Shown {
    bytes: Vec<u8>,
    parser: vt100::Parser,
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.parser.screen().contents())
    }
}

fn size(count: u16) -> NonZero<u16> {
    NonZero::new(count).unwrap()
}

fn winsize(rows: u16, columns: u16) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

impl Terminal {
    fn start(setup: &Setup) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let controller = openpt(flags).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let peer = ioctl_tiocgptpeer(&controller, flags).unwrap();
        tcsetwinsize(&peer, winsize(setup.rows, setup.columns)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_commandline-client"));
        command.args(&setup.args).env_clear();
        command.envs(setup.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(peer.try_clone().unwrap());
        command.stdout(peer.try_clone().unwrap());
        command.stderr(peer.try_clone().unwrap());
        // It stops its whole process group, which must not be that of the tests.
        command.process_group(0);
        let child = command.spawn().unwrap();
        let controller = File::from(controller);
        let shown = Shown {
            bytes: Vec::new(),
            parser: vt100::Parser::new(size(setup.rows), size(setup.columns), 1000),
        };
        let shown = Arc::new(Mutex::new(shown));
        let taking = Arc::new(Mutex::new(()));
        let may_take = Arc::clone(&taking);
        let (mut reading, showing) = (controller.try_clone().unwrap(), Arc::clone(&shown));
        thread::spawn(move || {
            let mut buf = [0; 4096];
            while let Ok(len @ 1..) = reading.read(&mut buf) {
                drop(may_take.lock().unwrap());
                let mut shown = showing.lock().unwrap();
                shown.bytes.extend_from_slice(&buf[..len]);
                shown.parser.process(&buf[..len]);
            }
        });
        Self {
            child,
            controller,
            peer,
            shown,
            taking,
        }
    }

    /// Lets the terminal not block, for all who have it open.
    pub(crate) fn set_nonblocking(&self) {
        let flags = fcntl_getfl(&self.peer).unwrap();
        fcntl_setfl(&self.peer, flags | OFlags::NONBLOCK).unwrap();
    }

    /// Takes nothing that the client writes, until what is returned is dropped.
    pub(crate) fn stall(&self) -> MutexGuard<'_, ()> {
        self.taking.lock().unwrap()
    }

    pub(crate) fn type_in(&mut self, keys: impl AsRef<[u8]>) {
        self.controller.write_all(keys.as_ref()).unwrap();
    }

    /// Returns everything that was written to the terminal.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.shown.lock().unwrap().bytes.clone()
    }

    /// Returns how often the client wrote a text.
    pub(crate) fn count(&self, text: &str) -> usize {
        String::from_utf8_lossy(&self.bytes()).matches(text).count()
    }

    /// Returns the rows of the screen, without the times that the client tells, which depend on how
    /// loaded the machine is, and without empty rows in the end.
    pub(crate) fn rows(&self) -> Vec<String> {
        let shown = self.shown.lock().unwrap();
        let (_, columns) = shown.parser.screen().size();
        let rows = shown.parser.screen().rows(0, columns.into());
        let mut rows: Vec<_> = rows
            .filter(|row| !is_time(row))
            .map(without_round_trip)
            .collect();
        while rows.last().is_some_and(String::is_empty) {
            rows.pop();
        }
        rows
    }

    /// Returns the row and the column of the cursor.
    pub(crate) fn cursor(&self) -> (u16, u16) {
        self.shown.lock().unwrap().parser.screen().cursor_position()
    }

    /// Tells whether the cell with the beginning of a text is dim.
    pub(crate) fn is_dim(&self, text: &str) -> bool {
        let shown = self.shown.lock().unwrap();
        let screen = shown.parser.screen();
        let (_, columns) = screen.size();
        let row = screen
            .rows(0, columns.into())
            .position(|row| row.contains(text));
        let row = row.unwrap_or_else(|| panic!("{text} is not on the screen"));
        screen.cell(row.try_into().unwrap(), 0).unwrap().dim()
    }

    /// Waits until the rows of the screen are as wanted.
    #[track_caller]
    pub(crate) fn wait_until(&self, wanted: impl Fn(&[String]) -> bool) {
        let start = Instant::now();
        loop {
            let rows = self.rows();
            if wanted(&rows) {
                return;
            }
            assert!(start.elapsed() < DEADLINE, "{}", rows.join("\n"));
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until a row has this text in it.
    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) {
        self.wait_until(|rows| rows.iter().any(|row| row.contains(text)));
    }

    /// Waits until the screen has these rows in the end, and nothing below.
    #[track_caller]
    pub(crate) fn wait_for_last(&self, last: &[&str]) {
        self.wait_until(|rows| {
            let first = rows.len().saturating_sub(last.len());
            rows[first..]
                .iter()
                .map(|row| row.trim_end())
                .eq(last.iter().copied())
        });
    }

    pub(crate) fn resize(&self, rows: u16, columns: u16) {
        self.shown
            .lock()
            .unwrap()
            .parser
            .screen_mut()
            .set_size(size(rows), size(columns));
        tcsetwinsize(&self.controller, winsize(rows, columns)).unwrap();
        // The terminal is not that of a session, so nobody else tells the client.
        self.signal(Signal::WINCH);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits until the client is stopped.
    #[track_caller]
    pub(crate) fn wait_until_stopped(&self) {
        let path = format!("/proc/{}/stat", self.child.id());
        let start = Instant::now();
        while !std::fs::read_to_string(&path).unwrap().contains(") T ") {
            assert!(start.elapsed() < DEADLINE, "{:?}", self.rows());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Tells whether the terminal is as a shell wants it.
    pub(crate) fn is_in_order(&self) -> bool {
        let modes = tcgetattr(&self.peer).unwrap().local_modes;
        modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG)
    }

    /// Returns how many typed bytes wait in the terminal for whoever reads it next.
    pub(crate) fn typed_len(&self) -> u64 {
        rustix::io::ioctl_fionread(&self.peer).unwrap()
    }

    /// Waits for the end of the client. What it wrote is on the screen then.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(start.elapsed() < DEADLINE, "{}", self.rows().join("\n"));
            thread::sleep(Duration::from_millis(5));
        };
        // Behind everything that it wrote.
        let mark = "\x1b[s\x1b[u";
        File::from(self.peer.try_clone().unwrap())
            .write_all(mark.as_bytes())
            .unwrap();
        let is_shown = || self.bytes().ends_with(mark.as_bytes());
        while !is_shown() {
            assert!(start.elapsed() < DEADLINE);
            thread::sleep(Duration::from_millis(5));
        }
        status
    }

    /// Returns how many bytes of memory the client has taken at most.
    pub(crate) fn memory_max(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmHWM:"))
            .unwrap();
        let kibibytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kibibytes * 1024
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn without_round_trip(row: String) -> String {
    match row.rsplit_once(" (") {
        Some((message, time)) if time.ends_with(" ms)") || time.ends_with(" s)") => {
            message.to_owned()
        }
        _ => row,
    }
}

fn is_time(row: &str) -> bool {
    let time = row.strip_prefix("-- ").filter(|time| time.len() == 5);
    time.is_some_and(|time| time.as_bytes()[2] == b':' && time[..2].parse::<u8>().is_ok())
}
