//! The signals that end the server.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;

/// Returns SIGINT and SIGTERM as they come. From the second one on they end the process at once.
///
/// A SIGINT that the parent process has ignored stays ignored: a shell does so for what it starts
/// in the background, so that Ctrl-C ends only what is in the foreground.
pub(crate) fn terminating() -> io::Result<Signals> {
    catch(|| ())
}

/// Does as [`terminating`] says, and calls `when_caught` as soon as a signal no longer ends the
/// process by itself.
fn catch(when_caught: impl FnOnce()) -> io::Result<Signals> {
    let mut caught = vec![SIGTERM];
    if !is_ignored(SIGINT) {
        caught.push(SIGINT);
    }
    // This comes first: from here on every signal is handed out. One that only found the flag
    // below would be lost.
    let signals = Signals::new(&caught)?;
    when_caught();
    let is_ending = Arc::new(AtomicBool::new(false));
    for signal in caught {
        // In this order: a signal that finds the flag set ends the process, one that does not sets
        // it.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&is_ending))?;
        flag::register(signal, Arc::clone(&is_ending))?;
    }
    Ok(signals)
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
    fn a_signal_that_comes_before_everything_is_set_up_is_handed_out() {
        let mut signals = catch(|| raise(SIGTERM).unwrap()).unwrap();
        assert_eq!(signals.pending().collect::<Vec<_>>(), [SIGTERM]);
    }
}
