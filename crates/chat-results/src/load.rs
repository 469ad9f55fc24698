//! What is asked of a server.

mod fields;
mod words;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::text::parse_bytes;

/// What is asked of a server: who takes part, who sends what when, and how much of it is checked.
///
/// [`Load::default`] is the classic load, once: two publishers with three subscribers each send
/// 1000 messages, each as soon as their own subscribers have the one before.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(from = "fields::Fields", into = "fields::Fields")]
pub struct Load {
    /// The number of publishers, at least 1.
    pub publishers: u32,
    /// The number of subscribers of each publisher, at least 1.
    pub subscribers: u32,
    /// Whether publishers read what they are sent.
    pub publishers_read: bool,
    /// How often all this is repeated, with new connections to the same server.
    pub repetitions: u32,
    /// How many messages each publisher sends in a repetition at most.
    pub messages: Option<u32>,
    /// For how long publishers send in a repetition at most.
    pub duration: Option<Duration>,
    /// For how long publishers send in a repetition before anything is measured.
    pub warmup: Duration,
    /// When publishers send.
    pub pacing: Pacing,
    /// The lengths of bodies.
    pub size: BodyLens,
    /// The number of clients that never read.
    pub stalled: u32,
    /// The clients that read slowly.
    pub slow: Slow,
    /// How many clients join a second during the load, stay for one, and leave.
    pub churn: f64,
    /// How many clients connect a second, if that is limited.
    pub connect_rate: Option<f64>,
    /// Whether some writes of publishers end inside a message, the rest of which follows when
    /// another has written, and two clients leave inside a message.
    pub cuts: bool,
    /// How much is checked.
    pub check: Check,
    /// The seed of all bodies, and of which writes are cut.
    pub seed: u64,
    /// How long nothing may go on before a repetition is given up.
    pub timeout: Duration,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            publishers: 2,
            subscribers: 3,
            publishers_read: true,
            repetitions: 1,
            messages: Some(1000),
            duration: None,
            warmup: Duration::ZERO,
            pacing: Pacing::LOCK_STEP,
            size: BodyLens::ALL,
            stalled: 0,
            slow: Slow::default(),
            churn: 0.0,
            connect_rate: None,
            cuts: true,
            check: Check::Full,
            seed: 0,
            timeout: TIMEOUT,
        }
    }
}

impl Load {
    /// Tells whether there is a schedule by which messages are to be sent.
    pub fn has_schedule(&self) -> bool {
        matches!(self.pacing, Pacing::Rate(_))
    }

    /// Tells whether there are clients that are there to make it harder: stalled, slow and visiting
    /// ones.
    pub fn has_antagonists(&self) -> bool {
        self.slow.count > 0 || self.stalled > 0 || self.churn > 0.0
    }

    /// Tells whether it is the classic load, but for its numbers.
    pub fn is_classic(&self) -> bool {
        let numbers_of_its_own = Self {
            publishers: self.publishers,
            subscribers: self.subscribers,
            repetitions: self.repetitions,
            messages: self.messages,
            seed: self.seed,
            timeout: self.timeout,
            ..Self::default()
        };
        let slow = Slow::default();
        !self.has_antagonists() && Self { slow, ..*self } == numbers_of_its_own
    }

    /// Returns the same load without the clients that are there to make it harder.
    #[must_use]
    pub fn without_antagonists(self) -> Self {
        let slow = Slow {
            count: 0,
            ..self.slow
        };
        Self {
            slow,
            stalled: 0,
            churn: 0.0,
            ..self
        }
    }

    /// Returns how many publishers, subscribers and slow clients there are.
    pub fn resident_count(&self) -> u64 {
        u64::from(self.publishers) * (1 + u64::from(self.subscribers)) + u64::from(self.slow.count)
    }

    /// Returns how many visitors there are at a time, at most: they stay for a second, and some
    /// time goes by before they have joined.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "a cast of a float saturates"
    )]
    pub fn visitor_count_max(&self) -> u64 {
        (2.0 * self.churn).ceil() as u64
    }

    /// Returns how many connections there are at a time, at most.
    pub fn connection_count_max(&self) -> u64 {
        self.resident_count() + u64::from(self.stalled) + self.visitor_count_max()
    }
}

/// Draws a seed at random, for [`Load::seed`].
pub fn random_seed() -> u64 {
    // The standard library seeds its hash maps from the system's randomness, and this is all that
    // is needed of it here.
    RandomState::new().build_hasher().finish()
}

/// What decides when a publisher sends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pacing {
    /// It has at most so many messages in flight: sent, and not settled at all of its own
    /// subscribers.
    Window(NonZeroU32),
    /// It sends as fast as the server reads.
    Flood,
    /// All publishers together send so many messages a second, whatever becomes of them.
    Rate(f64),
}

impl Pacing {
    /// One message in flight, as in classic load testers.
    pub const LOCK_STEP: Self = Self::Window(NonZeroU32::MIN);

    /// Makes the pacing of a window of so many messages; 0 is any number.
    pub fn window(messages: u32) -> Self {
        NonZeroU32::new(messages).map_or(Self::Flood, Self::Window)
    }

    /// Returns how many messages a publisher has in flight, 0 being any number; `None` with a
    /// schedule.
    pub fn in_flight(self) -> Option<u32> {
        match self {
            Self::Window(window) => Some(window.get()),
            Self::Flood => Some(0),
            Self::Rate(_) => None,
        }
    }

    /// Returns how many messages a second the schedule has, if there is one.
    pub fn rate(self) -> Option<f64> {
        if let Self::Rate(rate) = self {
            Some(rate)
        } else {
            None
        }
    }
}

/// Lengths that bodies have, in bytes: from [`BodyLens::MIN`] to 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLens {
    // Invariant: MIN <= min <= max.
    min: u8,
    max: u8,
}

impl BodyLens {
    /// The shortest length: what a body needs to prove what it is.
    pub const MIN: u8 = 8;

    /// All lengths that a body can have.
    pub const ALL: Self = Self {
        min: Self::MIN,
        max: u8::MAX,
    };

    /// Takes the lengths from `min` to `max`, unless they are out of order or too short.
    pub fn new(min: u8, max: u8) -> Option<Self> {
        (min >= Self::MIN && min <= max).then_some(Self { min, max })
    }

    /// Returns the shortest and the longest length.
    pub fn bounds(self) -> [u8; 2] {
        [self.min, self.max]
    }
}

impl FromStr for BodyLens {
    type Err = BodyLensError;

    /// Reads a length or a range, like `64` or `8..255`.
    fn from_str(text: &str) -> Result<Self, BodyLensError> {
        let (min, max) = text.split_once("..").unwrap_or((text, text));
        let bounds = min
            .parse()
            .ok()
            .zip(max.strip_prefix('=').unwrap_or(max).parse().ok());
        bounds
            .and_then(|(min, max)| Self::new(min, max))
            .ok_or(BodyLensError)
    }
}

/// A text is no length of bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a length or a range is needed, from 8 to 255, like 64 or 8..255")]
pub struct BodyLensError;

/// Clients that read slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slow {
    /// How many there are.
    pub count: u32,
    /// How many bytes a second each reads, at least 1.
    pub bytes_per_s: u32,
}

impl Default for Slow {
    fn default() -> Self {
        Self {
            count: 0,
            bytes_per_s: SLOW_BYTES_PER_S,
        }
    }
}

impl FromStr for Slow {
    type Err = SlowError;

    /// Reads a number of clients, and perhaps how much each reads, like `3`, `3:5000/s` or `3:8KiB`.
    fn from_str(text: &str) -> Result<Self, SlowError> {
        let (count, rate) = match text.split_once(':') {
            Some((count, rate)) => (count, parse_bytes(rate.strip_suffix("/s").unwrap_or(rate))),
            None => (text, Some(SLOW_BYTES_PER_S)),
        };
        match count.parse().ok().zip(rate) {
            Some((_, 0)) => Err(SlowError::Never),
            Some((count, bytes_per_s)) => Ok(Self { count, bytes_per_s }),
            None => Err(SlowError::Unreadable),
        }
    }
}

/// Why a text tells of no clients that read slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SlowError {
    /// They would not read at all.
    #[error("at 0 bytes a second they never read: that is --stalled")]
    Never,
    /// It is something else.
    #[error(
        "a number of clients is needed, and perhaps of bytes a second up to {}, like 3:5000",
        u32::MAX
    )]
    Unreadable,
}

/// How much is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// Nothing but the first eight bytes of each message, which the load needs to go on.
    Off,
    /// Every byte, and the order of each publisher's messages. Needs no memory for deliveries.
    Basic,
    /// All that, and that one order explains what everybody saw.
    Full,
}

impl Check {
    /// Returns which of these it is, in one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Basic => "basic",
            Self::Full => "full",
        }
    }

    /// Returns the one that a word is for, if there is one.
    pub fn named(word: &str) -> Option<Self> {
        let all = [Self::Off, Self::Basic, Self::Full];
        all.into_iter().find(|check| check.word() == word)
    }
}

/// How long nothing may go on when nothing is said. A judgement: long for a server that is busy,
/// and short for whoever waits for one that hangs.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How many bytes a second slow clients read when nothing is said. A judgement: far below any load.
const SLOW_BYTES_PER_S: u32 = 10_000;

#[cfg(test)]
mod tests {
    use super::fields::Fields;
    use super::*;

    #[test]
    fn lengths_without_room_for_a_tag_are_none() {
        assert_eq!(BodyLens::new(7, 255), None);
        assert_eq!(BodyLens::new(65, 64), None);
        assert_eq!(BodyLens::new(8, 255), Some(BodyLens::ALL));
    }

    #[test]
    fn a_load_in_a_file_is_read_back() {
        let loads = [
            Load::default(),
            Load {
                messages: None,
                duration: Some(Duration::from_millis(1500)),
                pacing: Pacing::Rate(0.5),
                slow: "3:7".parse().unwrap(),
                ..Load::default()
            },
            Load {
                pacing: Pacing::Flood,
                check: Check::Basic,
                seed: u64::MAX,
                connect_rate: Some(2.5),
                ..Load::default()
            },
        ];
        for load in loads {
            assert_eq!(Load::from(Fields::from(load)), load);
        }
    }
}
