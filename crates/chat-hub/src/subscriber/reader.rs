//! A subscriber's place in the log.

use std::task::{Context, Poll, Waker};

use crate::log::{Cursor, Stretch};
use crate::state::State;

/// How far a subscriber has read. Its methods take the state that the hub's lock guards.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) key: usize,
    /// Where the next batch begins. The hub learns of it with the next call that locks it.
    pub(super) cursor: Cursor,
    pub(super) dropped: u64,
    /// How many of these were lost before a batch that was consumed.
    pub(super) dropped_before: u64,
    pub(super) is_disconnected: bool,
}

impl Reader {
    pub(super) fn poll_read(
        &mut self,
        state: &mut State,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Stretch>> {
        if self.end_if_over(state) {
            return Poll::Ready(None);
        }
        if state.is_waiting(self.key, self.cursor, cx.waker()) {
            return Poll::Pending;
        }
        state.read(self.key, self.cursor);
        let dropped = self.dropped;
        self.resume_if_overrun(state);
        if self.end_if_over(state) {
            return Poll::Ready(None);
        }
        let stretch = state.log.read(self.cursor, state.end_of(self.key));
        if stretch.byte_len() > 0 {
            return Poll::Ready(Some(stretch));
        }
        if state.is_over() {
            self.end(state);
            return Poll::Ready(None);
        }
        // A jump to the end is no catching up.
        let has_caught_up = self.dropped == dropped;
        state.wait_to_read(self.key, cx.waker(), has_caught_up);
        Poll::Pending
    }

    /// Notes that the stream takes nothing, unless the subscription is over; tells whether it is.
    pub(super) fn stall(&mut self, state: &mut State, waker: &Waker) -> bool {
        if self.end_if_over(state) {
            return true;
        }
        // What it took until now may end its lag.
        state.read(self.key, self.cursor);
        // Publishers do not wait for messages that have been let go.
        if !state.is_laggard(self.key) || state.policy.tells_overrun() {
            self.resume_if_overrun(state);
        }
        if self.end_if_over(state) {
            return true;
        }
        state.stall(self.key, self.cursor, waker);
        false
    }

    pub(super) fn pause(&mut self, state: &mut State) {
        if !self.end_if_over(state) {
            state.pause(self.key, self.cursor);
        }
    }

    /// Goes on where the policy says if the log has overrun the cursor, or ends there.
    fn resume_if_overrun(&mut self, state: &mut State) {
        if !state.log.is_overrun(self.cursor) {
            return;
        }
        let resumed = state.policy.resume(&state.log);
        let cursor = resumed.unwrap_or_else(|| state.log.tail());
        self.skip_to(cursor, state);
        if resumed.is_none() {
            self.is_disconnected = true;
            state.end_at(self.key, cursor.place);
            state.disconnect(self.key, cursor);
        }
    }

    /// Goes on at `cursor`: what is before it is lost.
    fn skip_to(&mut self, cursor: Cursor, state: &mut State) {
        // Messages beyond the end of the subscription were never to be delivered.
        let end = state.end_of(self.key).min(cursor.place);
        self.dropped += state.skip(self.key, cursor, end);
        self.cursor = cursor;
    }

    /// Ends the subscription here. What has been let go unread is lost.
    pub(super) fn end(&mut self, state: &mut State) {
        if self.end_if_over(state) {
            return;
        }
        if !state.log.is_retained(self.cursor) {
            state.read(self.key, self.cursor);
            self.skip_to(state.log.oldest(), state);
        }
        state.end_at(self.key, self.cursor.place);
        self.end_if_over(state);
    }

    /// Returns how many messages have been lost, those included that the next read will find out
    /// about.
    pub(super) fn lost(&self, state: &State) -> u64 {
        self.dropped + state.let_go_before_read(self.key, self.cursor)
    }

    /// Leaves the log if there is nothing more to be read, ever; tells whether that is so.
    pub(super) fn end_if_over(&self, state: &mut State) -> bool {
        let is_over = state.end_of(self.key) <= self.cursor.place;
        if is_over {
            state.end_subscription(self.key, self.cursor);
        }
        is_over
    }
}
