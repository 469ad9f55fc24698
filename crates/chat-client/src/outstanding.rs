//! Own messages that are under way.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::time::Instant;

use chat_proto::{Body, Messages};

/// The messages that a client has sent and not received back yet.
///
/// A server sends every message to everybody, its sender included, in one order. So a client can
/// tell its own messages among those that it receives, though they carry no name: they are equal to
/// what it sent, and come back in the order in which it sent them. One that has not come back when
/// a later one does was lost, as a rule.
///
/// Others may send the same bytes. Then a message may be taken for one's own that is not, but the
/// count of missing messages is right as soon as everything has arrived: it is the number of
/// own messages for which no equal one was received.
///
/// The time to receive a message does not grow with the number of those under way, except that each
/// lost one costs once. Memory: the bytes under way, and while others send too, about 24 bytes for
/// each message.
///
/// # Examples
///
/// ```
/// use std::time::Instant;
/// use chat_client::Outstanding;
/// use chat_proto::{Body, Messages};
///
/// let mut outstanding = Outstanding::default();
/// let (sent, _) = Messages::split(b"\x01a\x01b");
/// outstanding.send(sent, Instant::now());
/// assert_eq!(outstanding.count(), 2);
///
/// // Somebody else's; then the second of our own, so the first was lost.
/// assert!(outstanding.receive(Body::new(b"hello")?).is_none());
/// let echo = outstanding.receive(Body::new(b"b")?).unwrap();
/// assert_eq!(echo.skipped, 1);
/// assert_eq!((outstanding.count(), outstanding.missing_count()), (0, 1));
/// # Ok::<(), chat_proto::BodyTooLong>(())
/// ```
#[derive(Debug, Default)]
pub struct Outstanding {
    /// The messages under way in their wire form, from `front` on, oldest first.
    wire: Vec<u8>,
    front: usize,
    count: u64,
    /// When messages were sent: for all up to a position in `wire`, oldest first.
    sent: VecDeque<(usize, Instant)>,
    /// How often each body is under way, once somebody else has sent something meanwhile.
    index: Option<Bag>,
    /// The messages that were passed over and may still come.
    missing: Bag,
    /// How many messages were passed over so long ago that they will not come.
    lost_count: u64,
}

/// One of the client's own messages, received back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Echo {
    /// When it was sent. `None` if it had been passed over: it came after a later one, or others
    /// had sent an equal one before.
    pub sent_at: Option<Instant>,
    /// How many own messages that were sent before it have not come back.
    pub skipped: u64,
}

/// Counts bodies by their hash. Two that have the same are taken for one; of a billion, that
/// happens to two with a probability of three per cent.
#[derive(Debug, Default)]
struct Bag {
    counts: HashMap<u64, u32>,
    hasher: RandomState,
    len: u64,
}

impl Outstanding {
    /// Notes messages that are about to be sent.
    pub fn send(&mut self, messages: Messages<'_>, now: Instant) {
        if self.front > self.wire.len() / 2 {
            self.compact();
        }
        self.wire.extend_from_slice(messages.as_bytes());
        self.count += messages.count() as u64;
        self.sent.push_back((self.wire.len(), now));
        if let Some(index) = &mut self.index {
            messages.iter().for_each(|body| index.add(body.as_bytes()));
        }
    }

    /// Tells whether a received message is one's own, and notes that it has come back.
    pub fn receive(&mut self, body: Body<'_>) -> Option<Echo> {
        let body = body.as_bytes();
        if self.oldest() == Some(body) {
            return Some(self.take_oldest(0));
        }
        if self.count > 0 && self.index().has(body) {
            return self.skip_to(body);
        }
        let echo = Echo {
            sent_at: None,
            skipped: 0,
        };
        self.missing.remove(body).then_some(echo)
    }

    /// Returns how many messages are under way.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns when the oldest message that is under way was sent.
    pub fn oldest_sent_at(&self) -> Option<Instant> {
        self.sent.front().map(|&(_, at)| at)
    }

    /// Returns how many bytes are under way, headers included.
    pub fn wire_len(&self) -> usize {
        self.wire.len() - self.front
    }

    /// Returns how many messages did not come back, though later ones did or [`Self::give_up`] was
    /// called.
    pub fn missing_count(&self) -> u64 {
        self.missing.len + self.lost_count
    }

    /// Gives up the messages that are under way: they count as missing, until they come.
    pub fn give_up(&mut self) {
        while self.oldest().is_some() {
            self.pass_oldest();
        }
    }

    /// Returns the bodies that are under way, oldest first.
    pub fn bodies(&self) -> impl Iterator<Item = Body<'_>> {
        Messages::split(&self.wire[self.front..]).0.into_iter()
    }

    fn oldest(&self) -> Option<&[u8]> {
        let (&len, rest) = self.wire[self.front..].split_first()?;
        Some(&rest[..usize::from(len)])
    }

    /// Removes the oldest message, which has come back.
    fn take_oldest(&mut self, skipped: u64) -> Echo {
        let sent_at = self.sent.front().map(|&(_, at)| at);
        self.remove_oldest();
        Echo { sent_at, skipped }
    }

    /// Removes the oldest message, which has not come back.
    fn pass_oldest(&mut self) {
        if self.missing.len >= MISSING_MAX {
            self.lost_count += std::mem::take(&mut self.missing).len;
        }
        let len = usize::from(self.wire[self.front]);
        self.missing.add(&self.wire[self.front + 1..][..len]);
        self.remove_oldest();
    }

    fn remove_oldest(&mut self) {
        let len = usize::from(self.wire[self.front]);
        let body = &self.wire[self.front + 1..][..len];
        if let Some(index) = &mut self.index {
            index.remove(body);
        }
        self.front += 1 + len;
        self.count -= 1;
        while self.sent.front().is_some_and(|&(end, _)| end <= self.front) {
            self.sent.pop_front();
        }
        if self.count == 0 {
            (self.front, self.index) = (0, None);
            self.wire.clear();
            self.sent.clear();
        }
    }

    /// Passes over the messages that were sent before an equal one, and takes that.
    fn skip_to(&mut self, body: &[u8]) -> Option<Echo> {
        let skipped = self.bodies().position(|other| other.as_bytes() == body)?;
        for _ in 0..skipped {
            self.pass_oldest();
        }
        Some(self.take_oldest(skipped as u64))
    }

    /// Returns the index, which is made when it is needed first.
    fn index(&mut self) -> &Bag {
        let Self {
            wire, front, index, ..
        } = self;
        index.get_or_insert_with(|| {
            let mut bag = Bag::default();
            let (messages, _) = Messages::split(&wire[*front..]);
            messages.iter().for_each(|body| bag.add(body.as_bytes()));
            bag
        })
    }

    /// Frees the room of messages that have come back.
    fn compact(&mut self) {
        self.wire.drain(..self.front);
        for (end, _) in &mut self.sent {
            *end -= self.front;
        }
        self.front = 0;
    }
}

impl Bag {
    fn add(&mut self, body: &[u8]) {
        *self.counts.entry(self.hasher.hash_one(body)).or_default() += 1;
        self.len += 1;
    }

    fn has(&self, body: &[u8]) -> bool {
        self.counts.contains_key(&self.hasher.hash_one(body))
    }

    /// Removes one of these bodies; returns whether there was one.
    fn remove(&mut self, body: &[u8]) -> bool {
        if self.len == 0 {
            return false;
        }
        let hash = self.hasher.hash_one(body);
        let Some(count) = self.counts.get_mut(&hash) else {
            return false;
        };
        *count -= 1;
        if *count == 0 {
            self.counts.remove(&hash);
        }
        self.len -= 1;
        true
    }
}

/// How many messages that were passed over are kept, in case they still come. A judgement: some
/// megabytes.
const MISSING_MAX: u64 = 256 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn send(outstanding: &mut Outstanding, bodies: &[&[u8]]) {
        let mut wire = Vec::new();
        for body in bodies {
            wire.push(body.len() as u8);
            wire.extend_from_slice(body);
        }
        let (messages, _) = Messages::split(&wire);
        outstanding.send(messages, Instant::now());
    }

    fn receive(outstanding: &mut Outstanding, body: &[u8]) -> Option<u64> {
        let echo = outstanding.receive(Body::new(body).unwrap());
        echo.map(|echo| echo.skipped)
    }

    #[test]
    fn what_comes_back_in_order_is_known_and_has_its_time() {
        let mut outstanding = Outstanding::default();
        send(&mut outstanding, &[b"a", b"", b"a"]);
        let later = Instant::now();
        send(&mut outstanding, &[b"b"]);
        assert_eq!((outstanding.count(), outstanding.wire_len()), (4, 7));
        for body in [&b"a"[..], b"", b"a"] {
            let echo = outstanding.receive(Body::new(body).unwrap()).unwrap();
            assert!(echo.sent_at.unwrap() <= later && echo.skipped == 0);
        }
        let echo = outstanding.receive(Body::new(b"b").unwrap()).unwrap();
        assert!(echo.sent_at.unwrap() >= later);
        assert_eq!((outstanding.count(), outstanding.missing_count()), (0, 0));
        assert_eq!(receive(&mut outstanding, b"a"), None);
    }

    #[test]
    fn another_who_says_the_same_does_not_make_anything_lost() {
        let mut outstanding = Outstanding::default();
        send(&mut outstanding, &[b"a", b"b", b"c"]);
        // Somebody else's, and then all of our own.
        assert_eq!(receive(&mut outstanding, b"c"), Some(2));
        assert_eq!(outstanding.missing_count(), 2);
        for body in [b"a", b"b"] {
            assert_eq!(receive(&mut outstanding, body), Some(0));
        }
        assert_eq!(receive(&mut outstanding, b"c"), None);
        assert_eq!(outstanding.missing_count(), 0);
    }

    #[test]
    fn what_is_given_up_is_missing_until_it_comes() {
        let mut outstanding = Outstanding::default();
        send(&mut outstanding, &[b"a", b"b"]);
        outstanding.give_up();
        assert_eq!((outstanding.count(), outstanding.missing_count()), (0, 2));
        assert_eq!(receive(&mut outstanding, b"b"), Some(0));
        assert_eq!(outstanding.missing_count(), 1);
    }

    #[test]
    fn memory_is_bounded_by_what_is_under_way() {
        let mut outstanding = Outstanding::default();
        for _ in 0..10_000 {
            send(&mut outstanding, &[b"hello", b"world"]);
            receive(&mut outstanding, b"hello");
            receive(&mut outstanding, b"world");
            send(&mut outstanding, &[b"more"]);
            receive(&mut outstanding, b"nobody's");
            send(&mut outstanding, &[b"last"]);
            receive(&mut outstanding, b"last");
        }
        assert!(
            outstanding.wire.capacity() < 1000,
            "{}",
            outstanding.wire.capacity()
        );
        assert_eq!(outstanding.missing_count(), 10_000);
    }

    proptest! {
        /// Own messages are sent and come back or are lost, among others that may be equal to them.
        #[test]
        fn the_missing_are_those_for_which_no_equal_one_came(
            steps in prop::collection::vec((0..5_u8, 0..6_u8), 0..200),
        ) {
            let mut outstanding = Outstanding::default();
            let mut under_way = VecDeque::new();
            let (mut sent, mut received) = ([0_i64; 6], [0_i64; 6]);
            for (step, value) in steps {
                match step {
                    0 | 1 => {
                        send(&mut outstanding, &[&[value]]);
                        under_way.push_back(value);
                        sent[usize::from(value)] += 1;
                    }
                    3 => drop(under_way.pop_front()),
                    _ => {
                        let value = if step == 2 { under_way.pop_front() } else { Some(value) };
                        let Some(value) = value else { continue };
                        let of_value = usize::from(value);
                        // One that is equal to none that is still to come is somebody else's.
                        let is_own = sent[of_value] > received[of_value];
                        let echo = receive(&mut outstanding, &[value]);
                        prop_assert_eq!(echo.is_some(), is_own);
                        received[of_value] += i64::from(is_own);
                    },
                }
                let unreturned = outstanding.count() + outstanding.missing_count();
                let expected = sent.iter().sum::<i64>() - received.iter().sum::<i64>();
                prop_assert_eq!(unreturned as i64, expected);
            }
        }
    }
}
