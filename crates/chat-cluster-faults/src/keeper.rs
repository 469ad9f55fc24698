//! Chat servers that end by themselves, and are started again as a service manager would.

use std::fmt;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::process::Process;
use crate::{ClusterError, POLL_INTERVAL};

/// An end of a chat server that nobody had asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exit {
    /// The number of the server.
    pub node: usize,
    /// How it ended.
    pub status: ExitStatus,
    /// The last that it printed on standard error.
    pub last_lines: Vec<String>,
    /// How often it had ended by itself by then, from 1.
    pub count: usize,
}

impl Exit {
    /// Tells whether the server is started again after that: only after a failure, and only a few times.
    pub fn is_passing(&self) -> bool {
        let is_failure = !self.status.success();
        let is_final = self.status.code().is_some_and(|it| FINAL.contains(&it));
        is_failure && !is_final && self.count <= RESTARTS_MAX
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.node + 1;
        write!(f, "chat server {number} ended by itself: {}", self.status)?;
        let reason = self.last_lines.iter().rfind(|it| it.starts_with("error: "));
        reason.iter().try_for_each(|line| write!(f, ": {line}"))?;
        if self.is_passing() {
            f.write_str("; started again")
        } else if self.count > RESTARTS_MAX {
            write!(f, "; it had been started again {RESTARTS_MAX} times")
        } else {
            f.write_str("; not started again")
        }
    }
}

/// A chat server that is started again as long as it is kept.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) process: Process,
    node: usize,
    is_kept: bool,
    /// How it ended by itself since it began to be kept last.
    exits: Vec<Exit>,
    /// When it is started again, once it has ended.
    restart_at: Option<Instant>,
    /// Why it is not there any more, until somebody asks.
    trouble: Option<ClusterError>,
}

impl Kept {
    /// Makes one that is not kept yet.
    pub(crate) fn new(node: usize, process: Process) -> Self {
        Self {
            process,
            node,
            is_kept: false,
            exits: Vec::new(),
            restart_at: None,
            trouble: None,
        }
    }

    /// Starts it, whatever it was doing.
    pub(crate) fn start(&mut self) -> Result<(), ClusterError> {
        self.restart_at = None;
        self.process.start()
    }

    /// Kills it, and leaves it dead.
    pub(crate) fn kill(&mut self) {
        self.restart_at = None;
        self.process.kill();
    }

    /// Tells whether it is ready, after waiting a little. One that has ended is not, while it is kept.
    pub(crate) fn poll_ready(&mut self) -> Result<Option<()>, ClusterError> {
        self.check()?;
        if self.is_kept && !self.process.is_running() {
            return Ok(None);
        }
        match self.process.poll_ready() {
            Err(_) if self.is_kept && !self.process.is_running() => Ok(None),
            polled => polled,
        }
    }

    /// Returns how it ended by itself since it began to be kept last.
    pub(crate) fn exits(&self) -> &[Exit] {
        &self.exits
    }

    /// Fails, once, if it has ended for good.
    fn check(&mut self) -> Result<(), ClusterError> {
        self.trouble.take().map_or(Ok(()), Err)
    }

    /// Begins to keep it, or stops.
    fn set_kept(&mut self, is_kept: bool) {
        self.is_kept = is_kept;
        self.restart_at = None;
        if is_kept {
            self.exits.clear();
            self.trouble = None;
        }
    }

    /// Starts it again if it is time for that, and notes that it has ended.
    fn tend(&mut self) {
        let is_gone = self.exits.last().is_some_and(|exit| !exit.is_passing());
        if !self.is_kept || is_gone {
            return;
        }
        if let Some(at) = self.restart_at {
            if Instant::now() >= at {
                self.trouble = self.start().err();
            }
            return;
        }
        let Some(status) = self.process.exit_status() else {
            return;
        };
        let exit = Exit {
            node: self.node,
            status,
            last_lines: self.process.last_lines(),
            count: self.exits.len() + 1,
        };
        if exit.is_passing() {
            self.restart_at = Some(Instant::now() + RESTART_PAUSE);
        } else {
            self.trouble = Some(ClusterError::Exited(exit.clone()));
        }
        self.exits.push(exit);
    }
}

/// A chat server that its keeper shares. The lock is held while the harness does something to the
/// server, so that what it does is no end by itself.
pub(crate) type Shared = Arc<Mutex<Kept>>;

/// Locks a server for the harness; an end that came before is noted first.
pub(crate) fn lock(server: &Shared) -> MutexGuard<'_, Kept> {
    // A server is what it is, whoever panicked.
    let mut kept = server.lock().unwrap_or_else(PoisonError::into_inner);
    kept.tend();
    kept
}

/// Fails, once, if one of some servers has ended for good.
pub(crate) fn check(servers: &[Shared]) -> Result<(), ClusterError> {
    let mut servers = servers.iter();
    servers.try_for_each(|server| lock(server).check())
}

/// Starts chat servers again that end by themselves. Dropping it stops that.
#[derive(Debug)]
pub(crate) struct Keeper {
    servers: Vec<Shared>,
    /// Nothing else is read on the strength of it, so any ordering does.
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Begins to look after servers.
    pub(crate) fn start(servers: &[Shared]) -> Result<Self, ClusterError> {
        let mut keeper = Self {
            servers: servers.to_vec(),
            is_over: Arc::default(),
            thread: None,
        };
        keeper.set_kept(true);
        let (servers, is_over) = (keeper.servers.clone(), Arc::clone(&keeper.is_over));
        let tend_all = move || {
            while !is_over.load(Ordering::Relaxed) {
                // One that the harness is busy with does not keep the others waiting.
                let free = servers.iter().filter_map(|it| it.try_lock().ok());
                free.for_each(|mut kept| kept.tend());
                thread::sleep(POLL_INTERVAL);
            }
        };
        let thread = thread::Builder::new().name("keeper".to_owned());
        let thread = thread.spawn(tend_all);
        let failed = ClusterError::io("looking after the chat servers");
        keeper.thread = Some(thread.map_err(failed)?);
        Ok(keeper)
    }

    /// Returns the servers that it looks after.
    pub(crate) fn servers(&self) -> &[Shared] {
        &self.servers
    }

    fn set_kept(&self, is_kept: bool) {
        let servers = self.servers.iter();
        servers.for_each(|server| lock(server).set_kept(is_kept));
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // It does not panic; and if it did, the message has been printed.
        let _ = self.thread.take().map(JoinHandle::join);
        self.set_kept(false);
    }
}

/// The exit codes after which a server is not started again: the arguments make no sense, and another
/// server has its name. Source: `RestartPreventExitStatus` in `bins/server/dist/chat-server.service`.
const FINAL: [i32; 2] = [2, 3];

/// How long after its end a server is started again. Source: `RestartSec`, likewise.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// How often a server is started again in a trial. A judgement: more than that is no accident.
const RESTARTS_MAX: usize = 3;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::{Ipv4Addr, SocketAddr};
    use std::path::PathBuf;

    use chat_target::Launch;

    use super::*;
    use crate::wait_until;

    /// A script in place of a chat server, and the file that has a line for each time it was started.
    struct Script {
        server: Shared,
        starts: PathBuf,
    }

    impl Script {
        /// Starts one that does `what` when it has noted that it was started.
        fn start(what: &str) -> Self {
            let starts = std::env::temp_dir().join(format!("starts-{:016x}", fastrand::u64(..)));
            let script = format!("starts={}; echo >> $starts; {what}", starts.display());
            let launch = Launch {
                args: vec!["-c".into(), script.into()],
                ..Launch::new("sh", SocketAddr::from((Ipv4Addr::LOCALHOST, 7)))
            };
            let kept = Kept::new(0, Process::new("a script".to_owned(), launch));
            let server = Arc::new(Mutex::new(kept));
            lock(&server).start().unwrap();
            Self { server, starts }
        }

        fn keep(&self) -> Keeper {
            Keeper::start(&[Arc::clone(&self.server)]).unwrap()
        }

        fn wait_ready(&self) -> Result<(), ClusterError> {
            wait_until("getting ready", || lock(&self.server).poll_ready())
        }

        fn start_count(&self) -> usize {
            fs::read_to_string(&self.starts).unwrap().lines().count()
        }

        /// Returns how it ended, in words.
        fn exits(&self) -> Vec<String> {
            let exits = lock(&self.server).exits().to_vec();
            exits.iter().map(Exit::to_string).collect()
        }
    }

    impl Drop for Script {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.starts);
        }
    }

    /// Says that it is ready, from the second start on, and then runs for ever.
    const SECOND_STAYS: &str = "if [ $(wc -l < $starts) -gt 1 ]; then \
                                echo listening on $0; exec sleep 1000; fi; ";

    #[test]
    fn a_server_that_fails_is_started_again_and_told_of() {
        for (end, status) in [("exit 1", "exit status: 1"), ("kill -9 $$", "signal: 9")] {
            let script = Script::start(&format!(
                "{SECOND_STAYS} echo error: a reason >&2; echo >&2; {end}"
            ));
            let keeper = script.keep();
            script.wait_ready().unwrap();
            check(keeper.servers()).unwrap();
            drop(keeper);
            let exits = script.exits();
            assert!(exits.len() == 1 && exits[0].contains(status), "{exits:?}");
            assert!(
                exits[0].ends_with(": error: a reason; started again"),
                "{exits:?}"
            );
            assert_eq!(script.start_count(), 2);
        }
    }

    #[test]
    fn a_server_that_should_not_come_back_is_left_alone() {
        for code in [0, 2, 3] {
            let script = Script::start(&format!("exit {code}"));
            let keeper = script.keep();
            let error = script.wait_ready().unwrap_err().to_string();
            assert!(error.contains(&format!("exit status: {code}")), "{error}");
            assert!(error.ends_with("; not started again"), "{error}");
            // It has been told, and stays so.
            check(keeper.servers()).unwrap();
            assert_eq!((script.start_count(), script.exits().len()), (1, 1));
        }
    }

    #[test]
    fn a_server_that_always_fails_is_given_up() {
        let script = Script::start("exit 1");
        let _keeper = script.keep();
        let error = script.wait_ready().unwrap_err().to_string();
        assert!(error.ends_with("started again 3 times"), "{error}");
        assert_eq!((script.start_count(), script.exits().len()), (4, 4));
    }

    #[test]
    fn what_the_harness_does_is_no_end_by_itself() {
        let script = Script::start("echo listening on $0; exec sleep 1000");
        let keeper = script.keep();
        script.wait_ready().unwrap();
        lock(&script.server).kill();
        let is_running = || lock(&script.server).process.is_running();
        assert!(!is_running() && script.exits().is_empty());
        lock(&script.server).start().unwrap();
        script.wait_ready().unwrap();
        assert!(is_running() && script.exits().is_empty());
        drop(keeper);
        assert_eq!(script.start_count(), 2);
    }

    #[test]
    fn a_server_is_started_again_only_while_it_is_kept() {
        let script = Script::start("exit 1");
        let error = script.wait_ready().unwrap_err();
        assert!(matches!(error, ClusterError::Server { .. }), "{error}");
        assert!(script.exits().is_empty());
        assert_eq!(script.start_count(), 1);
    }
}
