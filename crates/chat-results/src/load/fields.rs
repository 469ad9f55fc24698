//! A load as it stands in files.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::load::{BodyLens, Check, Load, Pacing, SLOW_BYTES_PER_S, Slow, TIMEOUT};

/// A [`Load`] in files. Times are in seconds.
#[derive(Deserialize, Serialize)]
pub(super) struct Fields {
    publishers: u32,
    subscribers: u32,
    publishers_read: bool,
    repetitions: u32,
    messages: Option<u32>,
    duration_s: Option<f64>,
    warmup_s: f64,
    window: Option<u32>,
    rate: Option<f64>,
    size: [u8; 2],
    stalled: u32,
    slow: u32,
    slow_bytes_per_s: Option<u32>,
    churn: f64,
    connect_rate: Option<f64>,
    #[serde(default = "yes")]
    cuts: bool,
    check: Check,
    /// A string, since a number of 64 bits does not survive most readers of JSON.
    seed: String,
}

impl From<Load> for Fields {
    fn from(load: Load) -> Self {
        let Slow { count, bytes_per_s } = load.slow;
        Self {
            publishers: load.publishers,
            subscribers: load.subscribers,
            publishers_read: load.publishers_read,
            repetitions: load.repetitions,
            messages: load.messages,
            duration_s: load.duration.map(|duration| duration.as_secs_f64()),
            warmup_s: load.warmup.as_secs_f64(),
            window: load.pacing.in_flight(),
            rate: load.pacing.rate(),
            size: load.size.bounds(),
            stalled: load.stalled,
            slow: count,
            slow_bytes_per_s: (count > 0).then_some(bytes_per_s),
            churn: load.churn,
            connect_rate: load.connect_rate,
            cuts: load.cuts,
            check: load.check,
            seed: load.seed.to_string(),
        }
    }
}

impl From<Fields> for Load {
    /// What a file has that is no load is read as the nearest that is one: it is only compared.
    fn from(fields: Fields) -> Self {
        let seconds = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let [min, max] = fields.size;
        Self {
            publishers: fields.publishers,
            subscribers: fields.subscribers,
            publishers_read: fields.publishers_read,
            repetitions: fields.repetitions,
            messages: fields.messages,
            duration: fields.duration_s.map(seconds),
            warmup: seconds(fields.warmup_s),
            pacing: fields
                .rate
                .map_or_else(|| Pacing::window(fields.window.unwrap_or(1)), Pacing::Rate),
            size: BodyLens::new(min, max).unwrap_or(BodyLens::ALL),
            stalled: fields.stalled,
            slow: Slow {
                count: fields.slow,
                bytes_per_s: fields.slow_bytes_per_s.unwrap_or(SLOW_BYTES_PER_S),
            },
            churn: fields.churn,
            connect_rate: fields.connect_rate,
            cuts: fields.cuts,
            check: fields.check,
            seed: fields.seed.parse().unwrap_or(0),
            timeout: TIMEOUT,
        }
    }
}

/// The value of a field that older files do not have.
fn yes() -> bool {
    true
}
