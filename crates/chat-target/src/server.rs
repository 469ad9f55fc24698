//! The server that is tested: a child process in a process group of its own.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::{Child, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use crate::guard::Guard;
use crate::interrupt::Interrupt;
use crate::launch::{Convention, Launch};
use crate::output::{LastLines, Output};
use crate::process_group::ProcessGroup;
use crate::server_error::ServerError;
use crate::usage::Usage;

/// A running server. Dropping it ends its whole process group.
#[derive(Debug)]
pub struct Server {
    child: Child,
    group: ProcessGroup,
    /// Ends with the server.
    _guard: Option<Guard>,
    output: Output,
    convention: Convention,
    interrupt: Interrupt,
    exit_status: Option<ExitStatus>,
    /// Where it accepts connections when it is ready, if it does not say so.
    pub(crate) awaited: Option<SocketAddr>,
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
        let addr = launch.choose_addr()?;
        let mut child = launch.spawn(addr).map_err(|source| ServerError::Start {
            executable: launch.executable.clone(),
            source,
            advice: launch.advice,
        })?;
        let group = ProcessGroup::led_by(&child);
        interrupt.guard(group);
        let guard = launch.guard.as_deref();
        let ready_suffix = launch.convention.ready_suffix();
        let guard = guard.map(|executable| Guard::start(executable, group));
        let output = guard
            .transpose()
            .and_then(|guard| Ok((guard, Output::drain(&mut child, log, ready_suffix)?)));
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
            convention: launch.convention.clone(),
            interrupt: interrupt.clone(),
            exit_status: None,
            awaited: matches!(launch.convention, Convention::Config(_)).then_some(addr),
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
            match self.awaited {
                None => {
                    if let Some(addr) = self.output.wait_ready(step) {
                        return listening_addr(&addr);
                    }
                }
                Some(addr) => {
                    if TcpStream::connect_timeout(&addr, step).is_ok() {
                        return Ok(addr);
                    }
                    thread::sleep(
                        step.saturating_sub(start.elapsed())
                            .min(ACCEPT_POLL_INTERVAL),
                    );
                }
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
                    suffix: self.convention.ready_suffix(),
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

    /// Returns how many lines the server may print on its standard output, all of them ready lines.
    pub fn ready_lines_max(&self) -> u64 {
        self.convention.ready_lines_max()
    }

    /// Returns how many lines the server has printed on its standard output, the ready line
    /// included.
    pub fn stdout_line_count(&self) -> u64 {
        self.output.stdout_line_count()
    }

    /// Returns why its log could not be written to its end, if that was so; once.
    pub fn log_error(&self) -> Option<std::io::Error> {
        self.output.log_error()
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

/// How often it is tried to connect to a server that says nothing when it is ready.
const ACCEPT_POLL_INTERVAL: Duration = Duration::from_millis(5);

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
