//! What is done to a connection.

use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::time::Duration;

use fastrand::Rng;

/// What is done to both directions of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Decides the lengths of slices and the delays.
    pub seed: u64,
    /// From the client to the server.
    pub to_server: Toxics,
    /// From the server to the client.
    pub to_client: Toxics,
}

impl Plan {
    /// Draws a plan that loses nothing, for a connection of about `len` bytes in each direction.
    ///
    /// # Examples
    ///
    /// ```
    /// use chat_toxic::{End, Plan};
    ///
    /// let plan = Plan::draw(7, 1000);
    /// assert_eq!(plan, Plan::draw(7, 1000));
    /// assert_eq!(plan.to_server.end, End::Never);
    /// ```
    pub fn draw(seed: u64, len: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        Self {
            seed,
            to_server: Toxics::draw(&mut rng, len),
            to_client: Toxics::draw(&mut rng, len),
        }
    }
}

/// What is done to one direction of a connection. The default does nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Toxics {
    /// How long what was read waits at most before it is forwarded; how long is drawn each time.
    pub delay_max: Duration,
    /// How many bytes are written at a time, if it is not as many as were read. The length of each
    /// slice is drawn. At least 1.
    pub slices: Option<RangeInclusive<usize>>,
    /// How many bytes are forwarded in a second at most.
    pub rate: Option<NonZeroU64>,
    /// Times in which nothing is forwarded, in the order of their positions.
    pub stalls: Vec<Stall>,
    /// How the direction ends, if not when its sender ends it.
    pub end: End,
}

impl Toxics {
    /// Draws toxics that lose nothing, for a direction of about `len` bytes. About a quarter of the
    /// directions get each of them.
    pub fn draw(rng: &mut Rng, len: u64) -> Self {
        let quarter = |rng: &mut Rng| rng.u8(..4) == 0;
        let mut toxics = Self::default();
        if quarter(rng) {
            toxics.delay_max = Duration::from_millis(rng.u64(1..=DELAY_MS_MAX));
        }
        if quarter(rng) {
            toxics.slices = Some(1..=SLICE_LEN_MAX);
        }
        if quarter(rng) {
            // Half a second for the whole, or longer.
            toxics.rate = NonZeroU64::new(rng.u64(len.max(2) / 2..=2 * len.max(2)).max(1));
        }
        if quarter(rng) {
            let time = Duration::from_millis(rng.u64(1..=STALL_MS_MAX));
            let at = rng.u64(..len.max(1));
            toxics.stalls.push(Stall { at, time });
        }
        toxics
    }
}

/// A time in which nothing is forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// How many bytes are forwarded before.
    pub at: u64,
    /// How long it lasts.
    pub time: Duration,
}

/// How a direction ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// As its sender ends it.
    #[default]
    Never,
    /// The receiver sees the end after so many bytes. The rest is read and thrown away.
    HalfClose {
        /// How many bytes are forwarded.
        at: u64,
    },
    /// Both sides see a reset after so many bytes.
    Reset {
        /// How many bytes are forwarded.
        at: u64,
    },
}

/// How many bytes a slice has at most that is drawn: a header never comes with a whole body that is
/// longer. A judgement.
const SLICE_LEN_MAX: usize = 7;

/// How long a delay is at most that is drawn, in milliseconds. A judgement: that of a bad network,
/// without making tests slow.
const DELAY_MS_MAX: u64 = 20;

/// How long a stall is at most that is drawn, in milliseconds. A judgement: longer than the grace of
/// a server that knows one.
const STALL_MS_MAX: u64 = 400;
