//! The steps of a history.

/// One step of a history.
#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    /// A publisher publishes `count` messages with bodies of `body_len` bytes.
    Publish {
        publisher: u8,
        count: u8,
        body_len: u8,
    },
    /// A publisher gives up its turn, or its place among those that wait for one.
    Pass {
        publisher: u8,
    },
    /// A subscriber takes a batch and consumes `share`/255 of it.
    Read {
        subscriber: u8,
        share: u8,
    },
    /// A subscriber's stream takes nothing.
    Stall {
        subscriber: u8,
    },
    /// Nobody serves a subscriber for a while.
    Pause {
        subscriber: u8,
    },
    Join,
    Leave {
        subscriber: u8,
    },
    /// A subscription is to end where the log ended at an earlier time.
    EndAt {
        subscriber: u8,
        time: u8,
    },
    /// The clock ticks so many times, if there is one.
    Tick {
        count: u8,
    },
    Close,
}

impl Op {
    pub(super) fn decode([kind, who, how]: [u8; 3]) -> Self {
        match kind % 32 {
            0..=9 => Self::Publish {
                publisher: who,
                count: kind % 10,
                body_len: how,
            },
            10..=21 => Self::Read {
                subscriber: who,
                share: how.saturating_mul(2),
            },
            22 => Self::Pass { publisher: who },
            23..=25 => Self::Stall { subscriber: who },
            26 => Self::Pause { subscriber: who },
            27 => Self::Join,
            28 => Self::Tick { count: how % 12 },
            29 => Self::Leave { subscriber: who },
            30 => Self::EndAt {
                subscriber: who,
                time: how,
            },
            // Closing ends a history, so it is rare.
            _ if who == 255 => Self::Close,
            _ => Self::Join,
        }
    }
}
