//! Entries that wait to be shown, in bounded memory.

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime};

/// Something to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A message that somebody else sent.
    Other { body: Vec<u8>, at: SystemTime },
    /// A message of one's own that came back, and how long that took.
    Own {
        body: Vec<u8>,
        at: SystemTime,
        round_trip: Option<Duration>,
    },
    /// Something that the client says.
    Notice { level: Level, text: String },
}

/// How much a notice matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Info,
    Warning,
}

/// The entries to show now.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Showing {
    /// How many messages of others came in how long a time, if not all of them are among the
    /// entries.
    pub(super) flood: Option<(u64, Duration)>,
    /// How many older entries of other kinds are left out.
    pub(super) omitted: u64,
    pub(super) entries: Vec<Entry>,
}

/// The entries that wait, in two rings: many messages of others may be passed over, of one's own and
/// of the client's notices only those that nobody could read anyway. Both are counted.
///
/// As long as messages come at a rate that can be read, all are shown. When they do not, there is a
/// flood: once a second the last few are shown, and how many there were.
///
/// Invariant: `others.len() <= OTHERS_MAX && kept.len() <= KEPT_MAX`.
#[derive(Debug)]
pub(super) struct Feed {
    /// Each with its place in the order of arrival.
    others: VecDeque<(u64, Vec<u8>, SystemTime)>,
    kept: VecDeque<(u64, Entry)>,
    next_place: u64,
    /// How many of others have been passed over since something was shown.
    passed_count: u64,
    /// The same for the other entries.
    omitted_count: u64,
    /// How many messages of others may be shown now.
    credit: f64,
    credited: Instant,
    /// Since when there is a flood that has not been summed up.
    flood_since: Option<Instant>,
}

impl Feed {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            others: VecDeque::new(),
            kept: VecDeque::new(),
            next_place: 0,
            passed_count: 0,
            omitted_count: 0,
            credit: CREDIT_MAX,
            credited: now,
            flood_since: None,
        }
    }

    /// Adds a message of somebody else.
    pub(super) fn push_other(&mut self, body: &[u8], at: SystemTime) {
        let mut kept = Vec::new();
        if self.others.len() >= OTHERS_MAX {
            self.passed_count += 1;
            // Its memory is used again: there may be a million in a second.
            kept = self.others.pop_front().map_or(kept, |(_, body, _)| body);
            kept.clear();
        }
        kept.extend_from_slice(body);
        self.others.push_back((self.next_place, kept, at));
        self.next_place += 1;
    }

    /// Adds something that is to be shown, or counted at least.
    pub(super) fn push(&mut self, entry: Entry) {
        if self.kept.len() >= KEPT_MAX {
            self.kept.pop_front();
            self.omitted_count += 1;
        }
        self.kept.push_back((self.next_place, entry));
        self.next_place += 1;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.others.is_empty() && self.kept.is_empty()
    }

    /// Returns how long to wait until [`Self::take`] has something to show.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        match self.flood_since {
            Some(since) => FLOOD_PERIOD.saturating_sub(now.duration_since(since)),
            None => Duration::ZERO,
        }
    }

    /// Takes the entries to show now.
    pub(super) fn take(&mut self, now: Instant) -> Showing {
        let passed = now.duration_since(self.credited).as_secs_f64();
        self.credit = (self.credit + passed * CREDIT_RATE).min(CREDIT_MAX);
        self.credited = now;
        let count = self.passed_count + self.others.len() as u64;
        let Some(since) = self.flood_since else {
            if self.passed_count == 0 && count as f64 <= self.credit {
                self.credit -= count as f64;
                return self.drain(None);
            }
            self.flood_since = Some(now);
            return Showing::default();
        };
        let period = now.duration_since(since);
        if period < FLOOD_PERIOD {
            return Showing::default();
        }
        let rate = count as f64 / period.as_secs_f64();
        self.flood_since = (rate > CREDIT_RATE).then_some(now);
        self.credit = 0.0;
        if count <= FLOOD_SHOWN as u64 {
            return self.drain(None);
        }
        self.sum_up(count, period)
    }

    /// Takes everything, whenever that is.
    pub(super) fn take_rest(&mut self, now: Instant) -> Showing {
        let count = self.passed_count + self.others.len() as u64;
        match self.flood_since {
            None if self.passed_count == 0 => self.drain(None),
            Some(_) if count <= FLOOD_SHOWN as u64 => self.drain(None),
            since => self.sum_up(
                count,
                since.map_or(FLOOD_PERIOD, |since| now.duration_since(since)),
            ),
        }
    }

    /// Takes the last messages of so many.
    fn sum_up(&mut self, count: u64, period: Duration) -> Showing {
        let too_many = self.others.len().saturating_sub(FLOOD_SHOWN);
        self.others.drain(..too_many);
        self.drain(Some((count, period)))
    }

    /// Takes all entries in the order in which they arrived.
    fn drain(&mut self, flood: Option<(u64, Duration)>) -> Showing {
        self.passed_count = 0;
        let mut entries = Vec::with_capacity(self.others.len() + self.kept.len());
        let mut kept = std::mem::take(&mut self.kept).into_iter().peekable();
        for (place, body, at) in self.others.drain(..) {
            while let Some((_, entry)) = kept.next_if(|&(earlier, _)| earlier < place) {
                entries.push(entry);
            }
            entries.push(Entry::Other { body, at });
        }
        entries.extend(kept.map(|(_, entry)| entry));
        Showing {
            flood,
            omitted: std::mem::take(&mut self.omitted_count),
            entries,
        }
    }
}

/// How many messages of others wait at most, and so how many may come at once and are all shown. A
/// judgement: what somebody pastes.
const OTHERS_MAX: usize = 400;

/// How many of one's own and of the client's words wait at most. A judgement: nobody reads as many.
const KEPT_MAX: usize = 400;

/// How many messages a second can be read on a terminal, and how many at once. A judgement.
const CREDIT_RATE: f64 = 100.0;
const CREDIT_MAX: f64 = OTHERS_MAX as f64;

/// How often a flood is summed up, and how many of it are shown. A judgement: a screen.
const FLOOD_PERIOD: Duration = Duration::from_secs(1);
const FLOOD_SHOWN: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;

    fn bodies(showing: &Showing) -> Vec<String> {
        let body = |entry: &Entry| match entry {
            Entry::Other { body, .. } => String::from_utf8(body.clone()).unwrap(),
            Entry::Own { body, .. } => format!("own {}", String::from_utf8(body.clone()).unwrap()),
            Entry::Notice { text, .. } => format!("notice {text}"),
        };
        showing.entries.iter().map(body).collect()
    }

    fn own(body: &str) -> Entry {
        Entry::Own {
            body: body.into(),
            at: SystemTime::UNIX_EPOCH,
            round_trip: None,
        }
    }

    fn push_others(feed: &mut Feed, count: usize) {
        for index in 0..count {
            feed.push_other(index.to_string().as_bytes(), SystemTime::UNIX_EPOCH);
        }
    }

    #[test]
    fn what_comes_at_a_readable_rate_is_shown_in_order() {
        let start = Instant::now();
        let mut feed = Feed::new(start);
        assert!(feed.is_empty());
        push_others(&mut feed, 2);
        feed.push(own("a"));
        feed.push_other(b"last", SystemTime::UNIX_EPOCH);
        assert_eq!(feed.wait(start), Duration::ZERO);
        let showing = feed.take(start);
        assert_eq!(bodies(&showing), ["0", "1", "own a", "last"]);
        assert_eq!(showing.flood, None);
        assert!(feed.is_empty());
        // A paste, and then some more at leisure.
        push_others(&mut feed, 390);
        assert_eq!(feed.take(start).entries.len(), 390);
        for second in 1..100 {
            push_others(&mut feed, 90);
            let now = start + Duration::from_secs(second);
            assert_eq!(feed.take(now).entries.len(), 90);
        }
    }

    #[test]
    fn a_flood_is_summed_up_once_a_second() {
        let mut now = Instant::now();
        let mut feed = Feed::new(now);
        push_others(&mut feed, 12_304);
        feed.push(own("mine"));
        assert_eq!(feed.take(now), Showing::default());
        assert_eq!(feed.wait(now), FLOOD_PERIOD);
        now += FLOOD_PERIOD;
        let showing = feed.take(now);
        assert_eq!(showing.flood, Some((12_304, FLOOD_PERIOD)));
        assert_eq!(showing.entries.len(), 51);
        assert_eq!(bodies(&showing)[0], "12254");
        assert_eq!(bodies(&showing)[50], "own mine");
        // It ends.
        feed.push_other(b"calm", SystemTime::UNIX_EPOCH);
        now += FLOOD_PERIOD;
        assert_eq!(bodies(&feed.take(now)), ["calm"]);
        feed.push_other(b"again", SystemTime::UNIX_EPOCH);
        now += Duration::from_millis(100);
        assert_eq!(bodies(&feed.take(now)), ["again"]);
    }

    #[test]
    fn memory_is_bounded_whatever_arrives() {
        let now = Instant::now();
        let mut feed = Feed::new(now);
        push_others(&mut feed, 100_000);
        for _ in 0..10_000 {
            feed.push(own("x"));
        }
        assert_eq!((feed.others.len(), feed.kept.len()), (OTHERS_MAX, KEPT_MAX));
        let rest = feed.take_rest(now);
        assert_eq!(rest.entries.len(), FLOOD_SHOWN + KEPT_MAX);
        assert_eq!(rest.flood.unwrap().0, 100_000);
        assert_eq!(rest.omitted, 10_000 - KEPT_MAX as u64);
        feed.push(own("x"));
        assert_eq!(feed.take_rest(now).omitted, 0);
    }
}
