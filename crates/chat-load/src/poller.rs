//! What the one thread waits for: sockets, and moments.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

/// Waits for sockets, and for moments.
#[derive(Debug)]
pub(crate) struct Poller {
    poll: Poll,
    events: Events,
    /// Ends a wait at a moment, to the microsecond; the timeout of a wait is in milliseconds.
    timer: OwnedFd,
}

impl Poller {
    /// Makes a poller without sockets.
    ///
    /// # Errors
    ///
    /// When the system gives nothing to wait with.
    pub(crate) fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK,
        )?;
        poll.registry().register(
            &mut SourceFd(&timer.as_raw_fd()),
            TIMER_TOKEN,
            Interest::READABLE,
        )?;
        Ok(Self {
            poll,
            events: Events::with_capacity(EVENTS_MAX),
            timer,
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
            .filter(|event| event.token() != TIMER_TOKEN)
    }

    /// Returns where sockets are registered, under any token but the highest.
    pub(crate) fn registry(&self) -> &Registry {
        self.poll.registry()
    }
}

/// The token of the timer.
const TIMER_TOKEN: Token = Token(usize::MAX);

/// How many events one wait returns at most. A judgement: more clients than that just have their
/// turn with the next.
const EVENTS_MAX: usize = 1024;
