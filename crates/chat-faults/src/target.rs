//! The real server as a process, seen from outside.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

use chat_target::{Ending, Interrupt, Launch, Server, ServerError};
use rustix::process::{Pid, Signal, kill_process};

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub struct Target {
    server: Server,
    addr: SocketAddr,
}

/// Why a server could not be tested.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// It could not be started.
    #[error(transparent)]
    Start(#[from] ServerError),
    /// It ended with another code than 0.
    #[error("the server ended with {status}; its last lines: {lines}")]
    Exit {
        /// How it ended.
        status: ExitStatus,
        /// What it said last.
        lines: String,
    },
    /// It did not end by itself.
    #[error("the server did not end within {END_TIMEOUT:?} of being told to")]
    Stubborn,
}

impl Target {
    /// Starts a server on a free port of the loopback.
    ///
    /// # Errors
    ///
    /// When it cannot be started, or does not get ready.
    pub fn start(executable: &Path, args: &[&str]) -> Result<Self, TargetError> {
        let launch = Launch {
            args: args.iter().map(OsString::from).collect(),
            ..Launch::new(executable, (Ipv4Addr::LOCALHOST, 0).into())
        };
        let mut server = Server::start(&launch, &Interrupt::never())?;
        let addr = server.wait_ready(READY_TIMEOUT)?;
        Ok(Self { server, addr })
    }

    /// Returns the address that clients connect to.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns the address for clients over TLS, of a server that was told to have one.
    ///
    /// # Errors
    ///
    /// When the server does not say it in time.
    pub fn tls_addr(&mut self) -> io::Result<SocketAddr> {
        let start = Instant::now();
        while start.elapsed() < READY_TIMEOUT {
            let lines = self.server.last_lines();
            let addr = lines.stdout().iter().find_map(|line| {
                let addr = line.strip_prefix("listening on ")?;
                addr.strip_suffix(" with TLS")?.parse().ok()
            });
            if let Some(addr) = addr {
                return Ok(addr);
            }
            thread::sleep(SETTLE_TICK);
        }
        Err(io::Error::other(
            "the server does not tell its address for TLS",
        ))
    }

    /// Tells the server to end, and waits for it.
    ///
    /// # Errors
    ///
    /// When it does not end in time, or with another code than 0.
    pub fn end(&mut self) -> Result<(), TargetError> {
        let ending = self.server.end(END_TIMEOUT);
        self.judge(ending)
    }

    /// Waits for the server to end, which it has been told to.
    ///
    /// # Errors
    ///
    /// When it does not end in time, or with another code than 0.
    pub fn wait(&mut self) -> Result<(), TargetError> {
        let start = Instant::now();
        let status = loop {
            match self.server.exit_status() {
                Some(status) => break status,
                None if start.elapsed() > END_TIMEOUT => return Err(TargetError::Stubborn),
                None => thread::sleep(SETTLE_TICK),
            }
        };
        self.judge(Ending::Earlier(status))
    }

    fn judge(&mut self, ending: Ending) -> Result<(), TargetError> {
        match ending {
            Ending::Killed => Err(TargetError::Stubborn),
            Ending::Earlier(status) | Ending::Terminated(status) if !status.success() => {
                let lines = self.server.last_lines();
                Err(TargetError::Exit {
                    status,
                    lines: lines.stderr().join("\n"),
                })
            }
            _ => Ok(()),
        }
    }

    /// Returns what sends signals to the server.
    pub(crate) fn signals(&self) -> Signals {
        Signals {
            pid: pid(self.server.id()),
        }
    }

    /// Sends the server a signal.
    pub fn signal(&self, signal: Signal) {
        self.signals().send(signal);
    }

    /// Returns how much memory of the server is resident, in KiB.
    ///
    /// # Errors
    ///
    /// When the system does not tell.
    pub fn rss_kib(&self) -> io::Result<u64> {
        self.status_field("VmRSS:")
    }

    /// Returns how much memory of the server was resident at most, in KiB.
    ///
    /// # Errors
    ///
    /// When the system does not tell.
    pub fn rss_peak_kib(&self) -> io::Result<u64> {
        self.status_field("VmHWM:")
    }

    /// Returns how many descriptors the server has open.
    ///
    /// # Errors
    ///
    /// When the system does not tell.
    pub fn descriptor_count(&self) -> io::Result<usize> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.server.id()))?.count())
    }

    /// Waits until the server has no more than `count` descriptors open; returns how many it has
    /// when that is so or takes too long.
    ///
    /// # Errors
    ///
    /// When the system does not tell.
    pub fn wait_for_descriptors(&self, count: usize) -> io::Result<usize> {
        let start = Instant::now();
        loop {
            let open = self.descriptor_count()?;
            if open <= count || start.elapsed() > SETTLE_TIMEOUT {
                return Ok(open);
            }
            thread::sleep(SETTLE_TICK);
        }
    }

    fn status_field(&self, name: &str) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.server.id()))?;
        let mut values = status.lines().filter_map(|line| line.strip_prefix(name));
        let value = values
            .next()
            .and_then(|value| value.split_whitespace().next());
        let value = value.and_then(|value| value.parse().ok());
        value.ok_or_else(|| io::Error::other(format!("the system does not tell {name}")))
    }
}

/// Sends signals to a server that may be gone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signals {
    pid: Option<Pid>,
}

impl Signals {
    pub(crate) fn send(self, signal: Signal) {
        if let Some(pid) = self.pid {
            // It is a child that nobody has waited for, so the number is still its own.
            let _ = kill_process(pid, signal);
        }
    }
}

fn pid(id: u32) -> Option<Pid> {
    Pid::from_raw(id.cast_signed())
}

/// How long the server may take to get ready, and to end. A judgement: neither comes near it.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
const END_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the server may take to find out that its clients have left.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(30);
const SETTLE_TICK: Duration = Duration::from_millis(5);
