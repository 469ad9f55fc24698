//! The signals that end the server.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use nix::sys::signal::{SigSet, Signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::flag;
use signal_hook::iterator::Signals;

/// Returns SIGHUP, SIGUSR1, SIGINT and SIGTERM as they come. From the second one on the last two end the
/// process at once.
///
/// A SIGINT or SIGHUP that the parent process has ignored stays ignored: a shell does so with SIGINT for
/// what it starts in the background, so that Ctrl-C ends only what is in the foreground, and `nohup`
/// with SIGHUP.
pub(crate) fn handled() -> io::Result<Signals> {
    catch(|| ())
}

/// Does as [`handled`] says, and calls `when_begun` as soon as no signal is lost any more.
///
/// The signals are kept back until everything is set up: the library installs its handler before it
/// knows what the handler is to do, and a signal in between would have no effect at all.
fn catch(when_begun: impl FnOnce()) -> io::Result<Signals> {
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
    let signals = register(&ending, &others);
    kept_back.thread_unblock()?;
    signals
}

/// Has signals handed out, and from the second one on those that are for ending end the process.
fn register(ending: &[i32], others: &[i32]) -> io::Result<Signals> {
    let is_ending = Arc::new(AtomicBool::new(false));
    for &signal in ending {
        // In this order: a signal that finds the flag set ends the process, one that does not sets
        // it.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&is_ending))?;
        flag::register(signal, Arc::clone(&is_ending))?;
    }
    Signals::new(ending.iter().chain(others))
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

#[cfg(test)]
mod tests {
    use signal_hook::low_level::raise;

    use super::*;

    #[test]
    fn a_signal_that_comes_while_they_are_set_up_is_handed_out() {
        let mut signals = catch(|| raise(SIGTERM).unwrap()).unwrap();
        assert_eq!(signals.pending().collect::<Vec<_>>(), [SIGTERM]);
    }
}
