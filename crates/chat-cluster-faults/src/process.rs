//! A server that is killed, frozen and started again.

use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

use chat_target::{Ending, Interrupt, Launch, Server, ServerError};
use rustix::process::{Pid, Signal, kill_process};

use crate::ClusterError;

/// A server that can be started again in the same way. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    launch: Launch,
    server: Option<Server>,
}

impl Process {
    pub(crate) fn new(name: String, launch: Launch) -> Self {
        Self {
            name,
            launch,
            server: None,
        }
    }

    /// Starts it, and does not wait until it is ready.
    pub(crate) fn start(&mut self) -> Result<(), ClusterError> {
        self.server = None;
        let deadline = Instant::now() + ADDR_WAIT;
        let server = loop {
            match Server::start(&self.launch, &Interrupt::never()) {
                // Another test may look just now whether the port is free.
                Err(ServerError::Unavailable { .. }) if Instant::now() < deadline => {
                    thread::sleep(crate::POLL_INTERVAL);
                }
                started => break started,
            }
        };
        self.server = Some(server.map_err(|source| self.failed(source))?);
        Ok(())
    }

    /// Waits until it is ready.
    pub(crate) fn wait_ready(&mut self) -> Result<(), ClusterError> {
        let ready = self.server.as_mut().map(|it| it.wait_ready(crate::WAIT));
        match ready {
            Some(Err(source)) => Err(self.failed(source)),
            _ => Ok(()),
        }
    }

    /// Tells whether it is ready, after waiting a little.
    pub(crate) fn poll_ready(&mut self) -> Result<Option<()>, ClusterError> {
        let server = self.server.as_mut();
        match server.map(|it| it.wait_ready(crate::POLL_INTERVAL)) {
            Some(Err(ServerError::NotReady { .. })) => Ok(None),
            Some(Err(source)) => Err(self.failed(source)),
            _ => Ok(Some(())),
        }
    }

    /// Tells whether it runs.
    pub(crate) fn is_running(&mut self) -> bool {
        let server = self.server.as_mut();
        server.is_some_and(|server| server.exit_status().is_none())
    }

    /// Tells how it ended, if it did by itself.
    pub(crate) fn exit_status(&mut self) -> Option<ExitStatus> {
        self.server.as_mut().and_then(Server::exit_status)
    }

    /// Returns its process id, if it was started.
    pub(crate) fn id(&self) -> Option<u32> {
        self.server.as_ref().map(Server::id)
    }

    /// Kills it at once, as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.server = None;
    }

    /// Asks it to end and waits. Fails if it does not end with code 0 in time.
    pub(crate) fn end(&mut self) -> Result<(), ClusterError> {
        let how = match self.server.take().map(|mut it| it.end(crate::WAIT)) {
            Some(Ending::Terminated(status)) if status.success() => return Ok(()),
            Some(Ending::Terminated(status)) => status.to_string(),
            Some(Ending::Earlier(status)) => format!("it had ended before, {status}"),
            Some(Ending::Killed) => format!("it took longer than {} s", crate::WAIT.as_secs()),
            None => "it did not run".to_owned(),
        };
        let who = self.name.clone();
        Err(ClusterError::Unclean { who, how })
    }

    /// Has it not run until it is thawed.
    pub(crate) fn freeze(&mut self) {
        self.signal(Signal::STOP);
    }

    /// Has it run again.
    pub(crate) fn thaw(&mut self) {
        self.signal(Signal::CONT);
    }

    /// Returns the last that it printed on standard error.
    pub(crate) fn last_lines(&mut self) -> Vec<String> {
        let lines = self.server.as_mut().map(Server::last_lines);
        lines.map_or_else(Vec::new, |lines| lines.stderr().to_vec())
    }

    fn signal(&mut self, signal: Signal) {
        // The number of one that has ended may be somebody else's.
        if !self.is_running() {
            return;
        }
        let pid = self.id().map(u32::cast_signed);
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            // It is a child that nobody has waited for, so the number is still its own.
            let _ = kill_process(pid, signal);
        }
    }

    fn failed(&self, source: ServerError) -> ClusterError {
        ClusterError::Server {
            who: self.name.clone(),
            source,
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // What is frozen cannot end.
        self.thaw();
    }
}

/// How long a port may be taken that a server had before. A judgement.
const ADDR_WAIT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use super::*;

    #[track_caller]
    fn check(script: &str, expected: &str) {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 7));
        let launch = Launch {
            args: vec!["-c".into(), script.into()],
            ..Launch::new("sh", addr)
        };
        let mut process = Process::new("a script".to_owned(), launch);
        process.start().unwrap();
        process.wait_ready().unwrap();
        let told = process.end().map_err(|error| error.to_string());
        assert_eq!(told.err().unwrap_or_default(), expected);
    }

    #[test]
    fn a_server_that_does_not_end_with_code_0_is_told_of() {
        let wait = "echo listening on $0; while :; do sleep 0.01; done";
        check(&format!("trap 'exit 0' TERM; {wait}"), "");
        let told = "a script did not end with code 0: exit status: 5";
        check(&format!("trap 'exit 5' TERM; {wait}"), told);
        let told = "a script did not end with code 0: signal: 15 (SIGTERM)";
        check(wait, told);
    }
}
