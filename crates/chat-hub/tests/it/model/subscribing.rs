//! What subscribers do, and the comparison of what comes of it.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use chat_hub::Policy;
use chat_proto::Messages;

use super::Model;
use super::parties::{ModelSubscriber, Serving, Taken};

impl Model {
    pub(super) fn read(&mut self, index: usize, share: u8) {
        let policy = self.policy;
        let subscriber = &mut self.subscribers[index];
        let was_awaited = subscriber.is_awaited(policy);
        subscriber.woken = Arc::default();
        let waker = Waker::from(Arc::clone(&subscriber.woken));
        subscriber.seen_byte_pos = subscriber.byte_pos;
        let poll = subscriber.real.poll_batch(&mut Context::from_waker(&waker));
        match poll.map(|batch| batch.map(|batch| Taken::of(batch, share))) {
            Poll::Pending => {
                let lost = self.lose(index, was_awaited, None);
                let subscriber = &mut self.subscribers[index];
                let is_at_end = subscriber.next == self.log.len();
                assert!(is_at_end, "it waits when it has read everything");
                let goes_on = subscriber.limit.is_none_or(|limit| limit > subscriber.next);
                assert!(!self.closed && goes_on);
                subscriber.serving = Serving::Waiting;
                assert!(
                    lost > 0 || !subscriber.real.is_laggard(),
                    "it has caught up"
                );
            }
            Poll::Ready(None) => {
                self.lose(index, was_awaited, None);
                let subscriber = &mut self.subscribers[index];
                let disconnected = subscriber.real.is_disconnected();
                let has_ended = subscriber
                    .limit
                    .is_some_and(|limit| limit <= self.log.len());
                assert!(self.closed || has_ended || disconnected, "only an end ends");
                (subscriber.serving, subscriber.ended) = (Serving::Nobody, true);
            }
            Poll::Ready(Some(taken)) => {
                self.lose(index, was_awaited, Some(taken.dropped));
                self.deliver(index, &taken);
                let subscriber = &mut self.subscribers[index];
                subscriber.serving = Serving::Nobody;
                // It leaves the log with the last it is to read.
                subscriber.ended = subscriber
                    .limit
                    .is_some_and(|limit| limit <= subscriber.next);
            }
        }
        self.subscribers[index].stalled_ticks = 0;
    }

    /// Checks what a subscriber lost in its last call to the hub; `told` is what its batch said.
    fn lose(&mut self, index: usize, was_awaited: bool, told: Option<u64>) -> u64 {
        let subscriber = &mut self.subscribers[index];
        let lost = subscriber.real.dropped() - subscriber.dropped;
        subscriber.untold += lost;
        if let Some(told) = told {
            let untold = std::mem::take(&mut subscriber.untold);
            assert_eq!(told, untold, "a batch tells what was lost before it");
        }
        if lost == 0 {
            return 0;
        }
        let lag = self.byte_len - subscriber.byte_pos;
        let least = self.capacity - self.segment_len;
        assert!(lag > least, "a lag of {lag} bytes lost messages");
        let was_behind = subscriber.next < subscriber.awaited_until;
        subscriber.skip(
            usize::try_from(lost).expect("a model's log is small"),
            &self.log,
        );
        let end = subscriber
            .limit
            .map_or(self.log.len(), |limit| limit.min(self.log.len()));
        match self.policy {
            Policy::Oldest => {
                assert!(
                    !was_awaited,
                    "a subscriber that is waited for lost {lost} messages"
                );
                let lag = self.byte_len - subscriber.byte_pos;
                let is_middle = lag <= self.capacity / 2 + self.segment_len;
                assert!(
                    subscriber.next == end || is_middle,
                    "it resumes {lag} bytes behind"
                );
            }
            Policy::Newest => {
                assert_eq!(subscriber.next, end, "it jumps to the end");
                assert!(
                    !was_awaited || was_behind,
                    "it lost what was published meanwhile"
                );
            }
            Policy::Disconnect => {
                assert!(
                    !was_awaited,
                    "a subscriber that is waited for was disconnected"
                );
                assert_eq!(subscriber.next, end, "all that was left is lost");
                assert!(subscriber.real.is_disconnected());
                self.disconnected += 1;
            }
            _ => panic!("the policy {:?} loses nothing", self.policy),
        }
        lost
    }

    /// Checks a batch of which some was consumed.
    fn deliver(
        &mut self,
        index: usize,
        Taken {
            wire, len, owed, ..
        }: &Taken,
    ) {
        let subscriber = &mut self.subscribers[index];
        let end = subscriber
            .limit
            .map_or(self.log.len(), |limit| limit.min(self.log.len()));
        let (messages, rest) = Messages::split(wire);
        assert!(rest.is_empty(), "batches are whole messages");
        let expected = self.log[subscriber.next..][..messages.count()].concat();
        assert_eq!(*wire, expected, "in order, without a gap");
        assert!(
            subscriber.next + messages.count() <= end,
            "not beyond the end"
        );
        let taken = [&wire[..*len], owed].concat();
        let (messages, rest) = Messages::split(&taken);
        let is_whole = rest.is_empty() && owed.len() < 256;
        assert!(is_whole, "what is owed completes the message that was cut");
        assert_eq!(taken, wire[..taken.len()]);
        subscriber.deliver(messages.count(), taken.len());
        // The hub learns it at once, since the batch was given back.
        subscriber.seen_byte_pos = subscriber.byte_pos;
    }

    pub(super) fn stall(&mut self, index: usize) {
        let policy = self.policy;
        let subscriber = &mut self.subscribers[index];
        let was_awaited = subscriber.is_awaited(policy);
        subscriber.woken = Arc::default();
        let waker = Waker::from(Arc::clone(&subscriber.woken));
        subscriber.real.stall(&waker);
        subscriber.seen_byte_pos = subscriber.byte_pos;
        if subscriber.ended {
            return;
        }
        subscriber.serving = Serving::Stalled;
        self.lose(index, was_awaited, None);
        let subscriber = &mut self.subscribers[index];
        let has_ended = subscriber
            .limit
            .is_some_and(|limit| limit <= subscriber.next);
        subscriber.ended = subscriber.real.is_disconnected() || has_ended;
        if subscriber.ended {
            subscriber.serving = Serving::Nobody;
        }
        let is_judged = self.clock.is_some() || self.policy == Policy::Block;
        let is_laggard = subscriber.real.is_laggard();
        assert!(
            is_judged || is_laggard || subscriber.ended,
            "without a clock there is no grace"
        );
    }

    pub(super) fn pause(&mut self, index: usize) {
        let subscriber = &mut self.subscribers[index];
        subscriber.real.pause();
        subscriber.seen_byte_pos = subscriber.byte_pos;
        (subscriber.serving, subscriber.stalled_ticks) = (Serving::Nobody, 0);
    }

    pub(super) fn join(&mut self) {
        if self.subscribers.len() == 5 {
            return;
        }
        let real = self.hub.subscribe();
        assert_eq!(real.position().message_pos(), self.log.len() as u64);
        self.subscribers.push(ModelSubscriber {
            real,
            woken: Arc::default(),
            serving: Serving::Nobody,
            ended: false,
            stalled_ticks: 0,
            awaited_until: 0,
            untold: 0,
            joined: self.log.len(),
            next: self.log.len(),
            byte_pos: self.byte_len,
            seen_byte_pos: self.byte_len,
            limit: None,
            delivered: 0,
            dropped: 0,
        });
    }

    pub(super) fn leave(&mut self, index: usize) {
        let mut subscriber = self.subscribers.swap_remove(index);
        let lost = subscriber.real.lost() - subscriber.dropped;
        let unread_len = self.byte_len - subscriber.byte_pos;
        assert!(
            lost == 0 || unread_len > self.capacity - self.segment_len,
            "what the log retains is not lost"
        );
        let is_let_go = unread_len > self.capacity + self.segment_len && !subscriber.ended;
        // A backlog may have it still.
        assert!(
            lost > 0 || !is_let_go || self.policy == Policy::Newest,
            "what the log has let go is lost"
        );
        subscriber.real.end();
        let skipped = subscriber.real.dropped() - subscriber.dropped;
        assert!(skipped >= lost && skipped <= (self.log.len() - subscriber.next) as u64);
        assert!(skipped == lost || self.policy == Policy::Newest);
        self.gone.0 += subscriber.delivered;
        self.gone.1 += subscriber.dropped + skipped;
    }

    pub(super) fn end_at(&mut self, index: usize, time: u8) {
        let Some(last) = self.ends.len().checked_sub(1) else {
            return;
        };
        let end = self.ends[last.saturating_sub(usize::from(time))];
        let message_count = usize::try_from(end.message_pos()).expect("a model's log is small");
        let subscriber = &mut self.subscribers[index];
        subscriber.real.end_at(end);
        let limit = subscriber
            .limit
            .map_or(message_count, |limit| limit.min(message_count));
        subscriber.limit = Some(limit);
        if limit <= subscriber.next {
            (subscriber.serving, subscriber.ended) = (Serving::Nobody, true);
        }
    }
}
