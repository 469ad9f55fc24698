//! What the two sides of a connection know of each other.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chat_proto::Messages;

use super::Summary;
use crate::Outstanding;

/// The messages under way, and the window that bounds them.
#[derive(Debug)]
pub(super) struct Flight {
    state: Mutex<State>,
    /// Tells the sending side that there is room, or that it is over.
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    outstanding: Outstanding,
    sent_count: u64,
    received_count: u64,
    refused_count: u64,
    /// When the input ended.
    input_ended_at: Option<Instant>,
    /// Since when the receiving side could have received own messages and has not. While it prints,
    /// it cannot.
    quiet_since: Option<Instant>,
    /// Whether any messages were given up.
    has_given_up: bool,
    is_over: bool,
}

impl Default for Flight {
    fn default() -> Self {
        let now = Instant::now();
        Self {
            state: Mutex::new(State {
                outstanding: Outstanding::default(),
                sent_count: 0,
                received_count: 0,
                refused_count: 0,
                input_ended_at: None,
                quiet_since: Some(now),
                has_given_up: false,
                is_over: false,
            }),
            changed: Condvar::new(),
        }
    }
}

impl Flight {
    /// Notes messages that are about to be sent, as soon as there is room for them. Returns how many
    /// were given up to make room, the first time.
    pub(super) fn send(&self, messages: Messages<'_>) -> Option<u64> {
        let mut state = self.state();
        let mut overdue = None;
        while !state.has_room(messages.as_bytes().len()) {
            let waited = self.changed.wait_timeout(state, PATIENCE);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.is_quiet_for(PATIENCE) {
                // They were lost, or this is no chat. If they come, they count all the same.
                let is_first = !std::mem::replace(&mut state.has_given_up, true);
                overdue = overdue.or(is_first.then_some(state.outstanding.count()));
                state.outstanding.give_up();
            }
        }
        let now = Instant::now();
        state.sent_count += messages.count() as u64;
        state.outstanding.send(messages, now);
        overdue
    }

    /// Notes lines that are not sent.
    pub(super) fn refuse(&self, count: usize) {
        self.state().refused_count += count as u64;
    }

    /// Notes messages that were received. Until [`Self::receive_on`] the receiving side is busy.
    pub(super) fn receive(&self, messages: &Messages<'_>) {
        let mut state = self.state();
        state.received_count += messages.count() as u64;
        let outstanding = &mut state.outstanding;
        let own_count = messages
            .iter()
            .filter(|body| outstanding.receive(*body).is_some())
            .count();
        if own_count > 0 {
            state.quiet_since = None;
            self.changed.notify_one();
        }
    }

    /// Notes that the receiving side goes on, after it was busy for some time.
    pub(super) fn receive_on(&self, busy: Duration) {
        let mut state = self.state();
        if state.quiet_since.is_none() || busy > BUSY {
            state.quiet_since = Some(Instant::now());
        }
    }

    /// Notes that the input has ended.
    pub(super) fn end_input(&self) {
        self.state().input_ended_at = Some(Instant::now());
    }

    /// Tells whether the input ended so long ago.
    pub(super) fn has_input_ended_for(&self, duration: Duration) -> bool {
        self.state()
            .input_ended_at
            .is_some_and(|at| at.elapsed() >= duration)
    }

    /// Lets the sending side go on for ever, since nobody waits for it any more.
    pub(super) fn end(&self) {
        self.state().is_over = true;
        self.changed.notify_one();
    }

    pub(super) fn summary(&self, is_input_over: bool) -> Summary {
        let state = self.state();
        Summary {
            sent: state.sent_count,
            unreturned: state.outstanding.count() + state.outstanding.missing_count(),
            received: state.received_count,
            refused: state.refused_count,
            is_input_over,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_room(&self, len: usize) -> bool {
        let under_way = self.outstanding.wire_len();
        self.is_over || under_way == 0 || under_way + len <= WINDOW
    }

    fn is_quiet_for(&self, duration: Duration) -> bool {
        self.quiet_since
            .is_some_and(|since| since.elapsed() >= duration)
    }
}

/// How many bytes may be under way. It is less than any server should keep for a client that is
/// slow for a moment. Measured: ten million lines take as long as without a window.
const WINDOW: usize = 256 * 1024;

/// How long no own message may come back, though some are under way and the receiving side has
/// nothing else to do, until those are given up. A judgement: no chat is that slow.
const PATIENCE: Duration = Duration::from_secs(1);

/// For how long the receiving side may be busy with its output without being called so.
const BUSY: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    /// How many bytes a message has here.
    const MESSAGE_LEN: usize = 256;

    fn messages(wire: &[u8]) -> Messages<'_> {
        Messages::split(wire).0
    }

    #[test]
    fn no_more_is_under_way_than_the_window_holds() {
        let flight = Flight::default();
        let wire = [255; MESSAGE_LEN].repeat(16);
        // The receiving side is busy, so nothing is given up however long this takes.
        flight.send(messages(&[0]));
        flight.receive(&messages(&[0]));
        let (sent, all_sent) = mpsc::channel();
        thread::scope(|scope| {
            let flight = &flight;
            let wire = &wire;
            scope.spawn(move || {
                for _ in 0..3 * WINDOW / wire.len() {
                    flight.send(messages(wire));
                    sent.send(()).unwrap();
                }
            });
            let window = WINDOW / wire.len();
            (0..window).for_each(|_| all_sent.recv().unwrap());
            let more = all_sent.recv_timeout(Duration::from_millis(100));
            assert!(more.is_err(), "more is under way than the window holds");
            // Each that comes back makes room for another one.
            for _ in window..3 * window {
                flight.receive(&messages(wire));
                all_sent.recv().unwrap();
            }
        });
        assert_eq!(
            flight.summary(true).unreturned,
            (WINDOW / MESSAGE_LEN) as u64
        );
    }

    #[test]
    fn what_does_not_come_back_is_given_up_and_counts_when_it_comes_late() {
        let flight = Flight::default();
        let wire = [255; MESSAGE_LEN].repeat(16);
        let count = 2 * WINDOW / wire.len();
        let told: Vec<_> = (0..count)
            .filter_map(|_| flight.send(messages(&wire)))
            .collect();
        assert_eq!(told, [(WINDOW / MESSAGE_LEN) as u64]);
        let sent = (count * 16) as u64;
        assert_eq!(
            (flight.summary(true).sent, flight.summary(true).unreturned),
            (sent, sent)
        );
        for _ in 0..count {
            flight.receive(&messages(&wire));
        }
        assert_eq!(flight.summary(true).unreturned, 0);
    }
}
