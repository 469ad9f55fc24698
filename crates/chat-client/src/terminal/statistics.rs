//! Counts of messages sent and received.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::view::{group_digits, in_words};

/// The figures of `/stats`.
#[derive(Debug)]
pub(super) struct Statistics {
    start: Instant,
    received: Count,
    sent: Count,
    lost_count: u64,
    /// In microseconds.
    round_trips: Histogram<u64>,
    /// How many messages were received in each of the last seconds; the second of each.
    seconds: [(u64, u64); RATE_PERIOD as usize],
}

#[derive(Debug, Default)]
struct Count {
    messages: u64,
    bytes: u64,
}

impl Count {
    fn add(&mut self, messages: u64, bytes: u64) {
        self.messages += messages;
        self.bytes += bytes;
    }

    fn in_words(&self) -> String {
        let noun = if self.messages == 1 {
            "message"
        } else {
            "messages"
        };
        let messages = group_digits(self.messages);
        format!("{messages} {noun}, {} bytes", group_digits(self.bytes))
    }
}

impl Statistics {
    pub(super) fn new(now: Instant) -> Self {
        let round_trips = Histogram::new(2).expect("two digits are among those allowed");
        Self {
            start: now,
            received: Count::default(),
            sent: Count::default(),
            lost_count: 0,
            round_trips,
            seconds: Default::default(),
        }
    }

    /// Counts received messages; the bytes have the headers among them.
    pub(super) fn receive(&mut self, messages: u64, bytes: u64, now: Instant) {
        self.received.add(messages, bytes);
        let second = now.duration_since(self.start).as_secs();
        let place = &mut self.seconds[(second % RATE_PERIOD) as usize];
        if place.0 != second {
            *place = (second, 0);
        }
        place.1 += messages;
    }

    pub(super) fn send(&mut self, bytes: u64) {
        self.sent.add(1, bytes);
    }

    pub(super) fn lose(&mut self, count: u64) {
        self.lost_count += count;
    }

    pub(super) fn return_after(&mut self, round_trip: Duration) {
        let microseconds = u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX);
        // It grows as needed.
        let _ = self.round_trips.record(microseconds);
    }

    /// Returns lines to show.
    pub(super) fn lines(&self, now: Instant) -> Vec<String> {
        let elapsed = now.duration_since(self.start);
        let second = elapsed.as_secs();
        let is_recent = |&&(of, _): &&(u64, u64)| of + RATE_PERIOD > second;
        let recent: u64 = self
            .seconds
            .iter()
            .filter(is_recent)
            .map(|&(_, count)| count)
            .sum();
        let rate = recent as f64 / elapsed.as_secs_f64().clamp(1.0, RATE_PERIOD as f64);
        let mean = self.received.messages as f64 / elapsed.as_secs_f64().max(1.0);
        let mut lines = vec![
            format!("received {}", self.received.in_words()),
            format!(
                "         {} a second lately, {} in the {} since the start",
                rate_in_words(rate),
                rate_in_words(mean),
                in_words(elapsed)
            ),
            format!(
                "sent     {}, {} lost",
                self.sent.in_words(),
                self.lost_count
            ),
        ];
        if !self.round_trips.is_empty() {
            let at = |value| in_words(Duration::from_micros(value));
            lines.push(format!(
                "round trip p50 {}, p99 {}, max {}",
                at(self.round_trips.value_at_quantile(0.5)),
                at(self.round_trips.value_at_quantile(0.99)),
                at(self.round_trips.max()),
            ));
        }
        lines
    }
}

fn rate_in_words(rate: f64) -> String {
    match rate < 10.0 {
        true => format!("{rate:.1}"),
        false => group_digits(rate as u64),
    }
}

/// Over how many seconds the present rate is measured.
const RATE_PERIOD: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_rates_and_round_trips_are_told() {
        let start = Instant::now();
        let mut statistics = Statistics::new(start);
        for second in 0..100 {
            let messages = if second < 95 { 1000 } else { 10 };
            statistics.receive(messages, 10 * messages, start + Duration::from_secs(second));
        }
        statistics.send(6);
        statistics.lose(2);
        let now = start + Duration::from_secs(99);
        let expected = [
            "received 95 050 messages, 950 500 bytes",
            "         505 a second lately, 960 in the 2 min since the start",
            "sent     1 message, 6 bytes, 2 lost",
        ];
        assert_eq!(statistics.lines(now), expected);
        for milliseconds in 1..=100 {
            statistics.return_after(Duration::from_millis(milliseconds));
        }
        assert_eq!(
            statistics.lines(now)[3],
            "round trip p50 50 ms, p99 99 ms, max 100 ms"
        );
    }
}
