//! The server that is tested: a child process in a process group of its own.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{io, thread};

use crate::guard::Guard;
use crate::interrupt::Interrupt;
use crate::output::{LastLines, Output};
use crate::process_group::ProcessGroup;
use crate::usage::Usage;

/// How to start a server.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The executable.
    pub executable: PathBuf,
    /// What it is given before the address.
    pub args: Vec<OsString>,
    /// The address it is told to listen on.
    pub addr: SocketAddr,
    /// Where everything goes that it prints on standard error; only the last lines are kept
    /// otherwise.
    pub log: Option<PathBuf>,
    /// The executable of a process that ends the server if this one is killed: it has to ask
    /// [`guard::run`](crate::guard::run) first.
    pub guard: Option<PathBuf>,
}

impl Launch {
    /// Makes one without arguments, log and guard.
    pub fn new(executable: impl Into<PathBuf>, addr: SocketAddr) -> Self {
        Self {
            executable: executable.into(),
            args: Vec::new(),
            addr,
            log: None,
            guard: None,
        }
    }
}

/// A running server. Dropping it ends its whole process group.
#[derive(Debug)]
pub struct Server {
    child: Child,
    group: ProcessGroup,
    /// Ends with the server.
    _guard: Option<Guard>,
    output: Output,
    interrupt: Interrupt,
    exit_status: Option<ExitStatus>,
}

impl Server {
    /// Starts a server. As long as it runs, a second signal that `interrupt` takes kills it.
    ///
    /// # Errors
    ///
    /// When the executable cannot be started, or its log cannot be written.
    pub fn start(launch: &Launch, interrupt: &Interrupt) -> Result<Self, ServerError> {
        let log = launch.log.as_deref().map(File::create).transpose();
        let log = log.map_err(ServerError::Log)?;
        let mut child = Command::new(&launch.executable)
            .args(&launch.args)
            .arg(launch.addr.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|source| ServerError::Start {
                executable: launch.executable.clone(),
                source,
            })?;
        let group = ProcessGroup::led_by(&child);
        interrupt.guard(group);
        let guard = launch.guard.as_deref();
        let guard = guard.map(|executable| Guard::start(executable, group));
        let output = guard
            .transpose()
            .and_then(|guard| Ok((guard, Output::drain(&mut child, log)?)));
        let (guard, output) = output.map_err(|error| {
            group.kill();
            interrupt.release(group);
            // It was killed.
            let _ = child.wait();
            ServerError::Watch(error)
        })?;
        Ok(Self {
            child,
            group,
            _guard: guard,
            output,
            interrupt: interrupt.clone(),
            exit_status: None,
        })
    }

    /// Waits until the server says that it is ready and returns the address it listens on.
    ///
    /// # Errors
    ///
    /// When it says nothing of the kind within `timeout`, in which time does not count in which this
    /// process did not run; when it ends before, and when a signal asks to stop.
    pub fn wait_ready(&mut self, timeout: Duration) -> Result<SocketAddr, ServerError> {
        let mut left = timeout;
        loop {
            let (start, step) = (Instant::now(), left.min(EXIT_POLL_INTERVAL));
            if let Some(addr) = self.output.wait_ready(step) {
                return listening_addr(&addr);
            }
            // A wait that lasted longer was a pause of this process, which is none of the server's.
            left -= start.elapsed().min(step);
            if let Some(status) = self.exit_status() {
                return Err(ServerError::ExitedEarly {
                    status,
                    lines: self.output.last_lines(DRAIN_WAIT),
                });
            }
            if self.interrupt.is_interrupted() {
                return Err(ServerError::Interrupted);
            }
            if left.is_zero() {
                return Err(ServerError::NotReady {
                    timeout,
                    lines: self.output.last_lines(Duration::ZERO),
                });
            }
        }
    }

    /// Tells how the server ended, if it has.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        if self.exit_status.is_none() {
            // Only a child that somebody else waited for has no status, and nobody else does.
            self.exit_status = self.child.try_wait().ok().flatten();
        }
        self.exit_status
    }

    /// Tells whether the server has died, given that its connections fail: the sockets of a dying
    /// process close a little earlier.
    pub fn death(&mut self) -> Option<ServerError> {
        let deadline = Instant::now() + DEATH_WAIT;
        while self.exit_status().is_none() && Instant::now() < deadline {
            thread::sleep(END_POLL_INTERVAL);
        }
        let status = self.exit_status()?;
        Some(ServerError::Died {
            status,
            lines: self.output.last_lines(DRAIN_WAIT),
        })
    }

    /// Returns the process id of the server, which its process group has too.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the last lines that the server has printed. If it has ended, waits a little for what
    /// is under way.
    pub fn last_lines(&mut self) -> LastLines {
        let patience = self.exit_status().map_or(Duration::ZERO, |_| DRAIN_WAIT);
        self.output.last_lines(patience)
    }

    /// Returns how many lines the server has printed on its standard output, the ready line
    /// included.
    pub fn stdout_line_count(&self) -> u64 {
        self.output.stdout_line_count()
    }

    /// Begins to observe the server. No client has joined yet.
    pub fn usage(&self) -> Usage {
        Usage::new(self.child.id())
    }

    /// Ends the process group: politely, and after `grace` not. Tells how the server itself ended.
    pub fn end(&mut self, grace: Duration) -> Ending {
        if let Some(status) = self.exit_status() {
            self.end_group();
            return Ending::Earlier(status);
        }
        self.group.terminate();
        self.wait_until(grace, |server| server.exit_status().is_some());
        let ending = self.exit_status.map_or(Ending::Killed, Ending::Terminated);
        self.end_group();
        ending
    }

    /// Ends what is left of the process group: politely, then not.
    fn end_group(&mut self) {
        let is_over = |server: &mut Self| {
            // A zombie counts as a process, so the child is waited for first.
            server.exit_status().is_some() && server.group.is_empty()
        };
        self.group.terminate();
        if !self.wait_until(END_GRACE, is_over) {
            self.group.kill();
            self.wait_until(END_GRACE, is_over);
        }
    }

    /// Waits until something is so, and tells whether that happened in time. Time does not count in
    /// which this process did not run.
    fn wait_until(&mut self, timeout: Duration, mut is_so: impl FnMut(&mut Self) -> bool) -> bool {
        let mut left = timeout;
        while !is_so(self) {
            if left.is_zero() {
                return false;
            }
            let (start, step) = (Instant::now(), left.min(END_POLL_INTERVAL));
            thread::sleep(step);
            left -= start.elapsed().min(2 * step).min(left);
        }
        true
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end_group();
        self.interrupt.release(self.group);
    }
}

/// How a server ended that was asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It had ended before.
    Earlier(ExitStatus),
    /// It ended after SIGTERM, in time.
    Terminated(ExitStatus),
    /// It did not, and was killed.
    Killed,
}

/// Why there is no server to test, or no more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The executable could not be started.
    #[error("cannot start {}: {source}{}", executable.display(), hint(executable, source))]
    Start {
        /// The executable.
        executable: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file for its standard error cannot be written.
    #[error("cannot write the server's log: {0}")]
    Log(#[source] io::Error),
    /// There is no thread or no process to watch it with.
    #[error("cannot watch the server: {0}")]
    Watch(#[source] io::Error),
    /// No ready line came in time.
    #[error("the server printed no line that starts with `listening on ` within {} s{lines}", timeout.as_secs())]
    NotReady {
        /// How long it had.
        timeout: Duration,
        /// What it printed instead.
        lines: LastLines,
    },
    /// The server ended before its ready line.
    #[error("the server ended before it was ready: {status}{lines}")]
    ExitedEarly {
        /// How it ended.
        status: ExitStatus,
        /// What it printed.
        lines: LastLines,
    },
    /// The ready line names nothing to connect to.
    #[error("the server's ready line names no IP address and port: `listening on {named}`")]
    NoAddress {
        /// What it names.
        named: String,
    },
    /// The server ended while it was tested.
    #[error("the server died: {status}{lines}")]
    Died {
        /// How it ended.
        status: ExitStatus,
        /// What it printed.
        lines: LastLines,
    },
    /// A signal asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// Says what may help, if anything.
fn hint(executable: &Path, error: &io::Error) -> String {
    if error.kind() != io::ErrorKind::NotFound {
        return String::new();
    }
    let name = executable.display();
    let is_bare = executable.parent() == Some(Path::new(""));
    if is_bare && executable.exists() {
        return format!("; did you mean ./{name}? A name alone is looked for in $PATH");
    }
    let mut first_line = String::new();
    let file = File::open(executable).map(BufReader::new);
    let read = file.and_then(|mut file| file.read_line(&mut first_line));
    match (read, first_line.trim_end().strip_prefix("#!")) {
        (Ok(_), Some(interpreter)) => {
            format!(
                "; the file is there, and its interpreter is not: {}",
                interpreter.trim()
            )
        }
        _ => String::new(),
    }
}

/// Reads the address that a ready line names. A server that listens everywhere is reached through
/// the loopback.
fn listening_addr(named: &str) -> Result<SocketAddr, ServerError> {
    let mut addr: SocketAddr = named
        .trim_end()
        .parse()
        .map_err(|_| ServerError::NoAddress {
            named: named.to_owned(),
        })?;
    if addr.ip().is_unspecified() {
        addr.set_ip(match addr.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    Ok(addr)
}

/// How often a server that says nothing is asked whether it still runs. Output wakes at once; this
/// is for exits without any.
const EXIT_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// How often a server that should end is asked whether it has.
const END_POLL_INTERVAL: Duration = Duration::from_millis(2);

/// How long a server has to end after SIGTERM, before SIGKILL. A judgement.
const END_GRACE: Duration = Duration::from_secs(2);

/// How long after its connections failed a server may take to be gone.
const DEATH_WAIT: Duration = Duration::from_millis(300);

/// How long the last lines of a server that is gone may take to arrive. Grandchildren may hold the
/// pipes open for ever.
const DRAIN_WAIT: Duration = Duration::from_millis(300);

#[cfg(test)]
mod tests {
    use std::panic::{self, AssertUnwindSafe};

    use super::*;

    #[test]
    fn what_cannot_be_started_has_a_hint() {
        let not_found = || io::Error::from(io::ErrorKind::NotFound);
        let dir = std::env::temp_dir();
        let script = dir.join(format!("script-{}", std::process::id()));
        std::fs::write(&script, "#!/nonexistent/python3\nprint(1)\n").unwrap();
        let told = hint(&script, &not_found());
        std::fs::remove_file(&script).unwrap();
        assert!(told.ends_with("is not: /nonexistent/python3"), "{told}");
        // Tests run in the directory of the package.
        let told = hint(Path::new("Cargo.toml"), &not_found());
        assert!(told.contains("did you mean ./Cargo.toml?"), "{told}");
        assert_eq!(hint(Path::new("/nonexistent"), &not_found()), "");
    }

    #[test]
    fn all_that_goes_to_standard_error_is_in_the_log() {
        let log = std::env::temp_dir().join(format!("log-{}", std::process::id()));
        let script =
            "i=0; while [ $i -lt 100 ]; do echo line $i >&2; i=$((i+1)); done; printf end >&2";
        let launch = Launch {
            args: vec!["-c".into(), script.into()],
            log: Some(log.clone()),
            ..Launch::new("sh", SocketAddr::from((Ipv4Addr::LOCALHOST, 7)))
        };
        let mut server = Server::start(&launch, &Interrupt::never()).unwrap();
        server.wait_ready(Duration::from_secs(30)).unwrap_err();
        drop(server);
        let text = std::fs::read_to_string(&log).unwrap();
        std::fs::remove_file(&log).unwrap();
        assert!(
            text.starts_with("line 0\n") && text.ends_with("line 99\nend"),
            "{text}"
        );
    }

    #[test]
    fn a_panic_ends_the_whole_group() {
        let script = "sleep 600 & echo listening on $0; wait";
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 7));
        let launch = Launch {
            args: vec!["-c".into(), script.into()],
            ..Launch::new("sh", addr)
        };
        let mut group = None;
        let ended = panic::catch_unwind(AssertUnwindSafe(|| {
            let mut server = Server::start(&launch, &Interrupt::never()).unwrap();
            assert_eq!(server.wait_ready(Duration::from_secs(30)).unwrap(), addr);
            group = Some(server.group);
            assert!(!server.group.is_empty());
            panic!("on purpose");
        }));
        assert_eq!(ended.unwrap_err().downcast_ref(), Some(&"on purpose"));
        assert!(group.unwrap().is_empty());
    }
}
