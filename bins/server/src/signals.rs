//! The signals that the server heeds.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::flag;
use signal_hook::iterator::Signals;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// SIGINT or SIGTERM: to end in order.
    End,
    /// SIGHUP: to read the configuration again.
    Reload,
    /// SIGUSR1: to log the state.
    State,
}

/// Signals that are caught, and kept until somebody takes them.
pub(crate) struct Caught {
    signals: Signals,
    /// Whether a SIGINT or SIGTERM ends the process at once.
    is_second: Arc<AtomicBool>,
}

/// What signals ask for, as they come.
#[derive(Debug)]
pub(crate) struct Requests {
    receiver: Receiver<Request>,
    sender: Sender<Request>,
}

impl Caught {
    /// Takes the signals, on a thread of its own.
    ///
    /// The first SIGINT or SIGTERM asks for the end. Those of the next [`SAME_TIME`] mean the same: who
    /// ends a process may signal it and then its group, as `timeout` does. One that comes later ends the
    /// process at once, whatever its other threads do.
    pub(crate) fn take(self) -> io::Result<Requests> {
        let (sender, receiver) = mpsc::channel();
        let requests = Requests {
            receiver,
            sender: sender.clone(),
        };
        let thread = thread::Builder::new().name("signals".to_owned());
        thread.spawn(move || self.run(&sender))?;
        Ok(requests)
    }

    fn run(mut self, sender: &Sender<Request>) {
        for signal in self.signals.forever() {
            let request = match signal {
                SIGHUP => Request::Reload,
                SIGUSR1 => Request::State,
                // It came in time to mean the same.
                _ if self.is_second.load(Ordering::SeqCst) => continue,
                _ => Request::End,
            };
            // Nobody is left to be asked when the process ends.
            let _ = sender.send(request);
            if request == Request::End {
                thread::sleep(SAME_TIME);
                self.is_second.store(true, Ordering::SeqCst);
            }
        }
    }
}

impl Requests {
    /// Waits for the next one.
    pub(crate) fn wait(&self) -> Request {
        let request = self.receiver.recv();
        request.expect("there is a sender beside the receiver")
    }

    /// Returns whether somebody has asked for the end; forgets what else was asked for until now.
    pub(crate) fn is_end_asked(&self) -> bool {
        self.receiver
            .try_iter()
            .any(|request| request == Request::End)
    }

    /// Returns what asks for the end as a signal would.
    pub(crate) fn end(&self) -> impl FnOnce() + Send + use<> {
        let sender = self.sender.clone();
        move || {
            // Nobody is left to be asked when the process ends.
            let _ = sender.send(Request::End);
        }
    }
}

/// Catches SIGHUP, SIGUSR1, SIGINT and SIGTERM.
///
/// A SIGINT or SIGHUP that the parent process has ignored stays ignored: a shell does so with SIGINT for
/// what it starts in the background, so that Ctrl-C ends only what is in the foreground, and `nohup`
/// with SIGHUP.
pub(crate) fn catch() -> io::Result<Caught> {
    catch_and(|| ())
}

/// Does as [`catch`] says, and calls `when_begun` as soon as no signal is lost any more.
///
/// The signals are kept back until everything is set up: the library installs its handler before it
/// knows what the handler is to do, and a signal in between would have no effect at all.
fn catch_and(when_begun: impl FnOnce()) -> io::Result<Caught> {
    let mut ending = vec![SIGTERM];
    let mut others = vec![SIGUSR1];
    if !is_ignored(SIGINT) {
        ending.push(SIGINT);
    }
    if !is_ignored(SIGHUP) {
        others.push(SIGHUP);
    }
    let all = [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGUSR1,
    ];
    let kept_back: SigSet = all.into_iter().collect();
    // There are no other threads yet that they could come to.
    kept_back.thread_block()?;
    when_begun();
    let caught = register(&ending, &others);
    kept_back.thread_unblock()?;
    caught
}

/// Has signals handed out, and those that are for ending end the process once there is a second.
fn register(ending: &[i32], others: &[i32]) -> io::Result<Caught> {
    let is_second = Arc::new(AtomicBool::new(false));
    for &signal in ending {
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&is_second))?;
    }
    let signals = Signals::new(ending.iter().chain(others))?;
    Ok(Caught { signals, is_second })
}

/// Tells whether this process ignores a signal, on systems that say so in `/proc`.
fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// How long after the first SIGINT or SIGTERM others mean the same. A judgement: programs that send two
/// do so within a millisecond, and nobody presses Ctrl-C twice so fast.
const SAME_TIME: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use signal_hook::low_level::raise;

    use super::*;

    #[test]
    fn a_signal_that_comes_while_they_are_set_up_is_handed_out() {
        let mut caught = catch_and(|| raise(SIGTERM).unwrap()).unwrap();
        assert_eq!(caught.signals.pending().collect::<Vec<_>>(), [SIGTERM]);
    }
}
