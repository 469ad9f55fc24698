//! Signals that ask to stop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{io, thread};

use signal_hook::consts::{SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;

use crate::process_group::ProcessGroup;

/// Knows whether a signal asked to stop. Clones know the same.
#[derive(Clone, Debug)]
pub struct Interrupt {
    state: Arc<SignalState>,
}

impl Interrupt {
    /// Makes one that no signal ever interrupts: signals do to this process what they always do.
    pub fn never() -> Self {
        Self {
            state: Arc::default(),
        }
    }

    /// Takes, from now on, the signals that would end this process and leave the server behind. The
    /// first asks to stop. The second kills all servers and ends this process at once, with
    /// [`EXIT_INTERRUPTED`].
    ///
    /// # Errors
    ///
    /// When the system does not let signals be taken, or has no thread for it.
    pub fn on_signals() -> io::Result<Self> {
        let interrupt = Self::never();
        let (mut received, state) = (Signals::new(ENDING_SIGNALS)?, Arc::clone(&interrupt.state));
        let note = move || {
            for _ in received.forever() {
                state.note();
            }
        };
        let thread = thread::Builder::new().name("signals".to_owned());
        thread.spawn(note).map(|_| interrupt)
    }

    /// Tells whether a signal asked to stop.
    pub fn is_interrupted(&self) -> bool {
        // Nothing else is read on the strength of this flag, so no ordering is needed.
        self.state.is_interrupted.load(Ordering::Relaxed)
    }

    /// Has `group` killed by a second signal, until it is released.
    pub(crate) fn guard(&self, group: ProcessGroup) {
        self.state.groups().push(group);
    }

    /// Lets a group go that has ended.
    pub(crate) fn release(&self, group: ProcessGroup) {
        self.state.groups().retain(|&guarded| guarded != group);
    }
}

/// What the thread that takes signals shares with others.
#[derive(Debug, Default)]
struct SignalState {
    is_interrupted: AtomicBool,
    /// Guards the process groups of the servers that run.
    groups: Mutex<Vec<ProcessGroup>>,
}

impl SignalState {
    /// Notes a signal. The first asks to stop, the second ends everything at once.
    fn note(&self) {
        if self.is_interrupted.swap(true, Ordering::Relaxed) {
            self.groups().iter().for_each(|group| group.kill());
            std::process::exit(EXIT_INTERRUPTED.into());
        }
    }

    fn groups(&self) -> MutexGuard<'_, Vec<ProcessGroup>> {
        // A group comes and goes whole, so a panic elsewhere does not spoil the list.
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The exit code of a process that a signal asked to stop: 128 and the number of SIGINT, as shells
/// have it.
pub const EXIT_INTERRUPTED: u8 = 130;

/// What ends a process by default and can be caught, and is not a sign of a bug.
const ENDING_SIGNALS: [i32; 7] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM];
