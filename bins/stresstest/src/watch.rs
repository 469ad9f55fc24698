//! What the one thread waits for: sockets, the server's output and signals.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token, Waker};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use signal_hook::consts::{SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;

use crate::EXIT_INTERRUPTED;
use crate::server::group::Group;

/// Waits for everything at once.
#[derive(Debug)]
pub(crate) struct Watch {
    poll: Poll,
    events: Events,
    wake: Wake,
    /// Ends a wait at a moment, to the microsecond; the timeout of a wait is in milliseconds.
    timer: OwnedFd,
    signals: Arc<SignalState>,
}

impl Watch {
    /// Makes a watch, which from now on takes the signals that would end this process and leave the
    /// server behind.
    pub(crate) fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let wake = Wake {
            waker: Arc::new(Waker::new(poll.registry(), WAKE_TOKEN)?),
        };
        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK,
        )?;
        poll.registry().register(
            &mut SourceFd(&timer.as_raw_fd()),
            TIMER_TOKEN,
            Interest::READABLE,
        )?;
        let signals = Arc::new(SignalState::default());
        let (mut received, state, woken) = (
            Signals::new(ENDING_SIGNALS)?,
            Arc::clone(&signals),
            wake.clone(),
        );
        thread::spawn(move || {
            for _ in received.forever() {
                state.note();
                woken.wake();
            }
        });
        Ok(Self {
            poll,
            events: Events::with_capacity(EVENTS_MAX),
            wake,
            timer,
            signals,
        })
    }

    /// Waits for events, at most as long as `timeout`.
    pub(crate) fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            // Whoever was stopped for a while is to see what came meanwhile.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.poll.poll(&mut self.events, Some(Duration::ZERO))
            }
            waited => waited,
        }
    }

    /// Has a wait end when `time` is over, whatever it was told before.
    pub(crate) fn wake_after(&self, time: Duration) -> io::Result<()> {
        // Zero would mean never.
        let time =
            Timespec::try_from(time.max(Duration::from_nanos(1))).map_err(io::Error::other)?;
        let never = Timespec::default();
        timerfd_settime(
            &self.timer,
            TimerfdTimerFlags::empty(),
            &Itimerspec {
                it_interval: never,
                it_value: time,
            },
        )?;
        Ok(())
    }

    /// Returns the events of sockets that the last wait found.
    pub(crate) fn events(&self) -> impl Iterator<Item = &Event> {
        self.events
            .iter()
            .filter(|event| event.token() != WAKE_TOKEN && event.token() != TIMER_TOKEN)
    }

    /// Returns where sockets are registered, under any token but the two highest.
    pub(crate) fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    /// Tells whether a signal asked to stop.
    pub(crate) fn is_interrupted(&self) -> bool {
        // Nothing else is read on the strength of this flag, so no ordering is needed.
        self.signals.is_interrupted.load(Ordering::Relaxed)
    }

    /// Returns what ends a wait early.
    pub(crate) fn wake(&self) -> Wake {
        self.wake.clone()
    }

    /// Has `group` killed by a second signal, until there is another server or `None`.
    pub(crate) fn guard(&self, group: Option<Group>) {
        *self.signals.group() = group;
    }
}

/// Ends a wait early.
#[derive(Clone, Debug)]
pub(crate) struct Wake {
    waker: Arc<Waker>,
}

impl Wake {
    /// Ends the wait, or the next one.
    pub(crate) fn wake(&self) {
        // A wake that is lost costs a delay: every wait has a timeout.
        let _ = self.waker.wake();
    }
}

/// What the thread that takes signals shares with the main thread.
#[derive(Debug, Default)]
struct SignalState {
    is_interrupted: AtomicBool,
    /// Guards the process group of the server that runs.
    group: Mutex<Option<Group>>,
}

impl SignalState {
    /// Notes a signal. The first asks to stop, the second ends everything at once.
    fn note(&self) {
        if self.is_interrupted.swap(true, Ordering::Relaxed) {
            if let Some(group) = *self.group() {
                group.kill();
            }
            std::process::exit(EXIT_INTERRUPTED.into());
        }
    }

    fn group(&self) -> MutexGuard<'_, Option<Group>> {
        // A group is replaced whole, so a panic elsewhere does not spoil it.
        self.group.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The token of [`Wake`].
const WAKE_TOKEN: Token = Token(usize::MAX);

/// The token of the timer.
const TIMER_TOKEN: Token = Token(usize::MAX - 1);

/// How many events one wait returns at most. A judgement: more clients than that just have their
/// turn with the next.
const EVENTS_MAX: usize = 1024;

/// What ends a process by default and can be caught, and is not a sign of a bug.
const ENDING_SIGNALS: [i32; 7] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM];
