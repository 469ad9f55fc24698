//! How single values are read from the command line.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use chat_report::atomic_file;
use chat_trace::BodyLens;

/// Finds out, before anything is started, whether a file can be written.
pub(super) fn parse_output(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    atomic_file::try_write(&path).map_err(|error| format!("it cannot be written: {error}"))?;
    Ok(path)
}

/// Clients that read slowly.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slow {
    pub(super) count: u32,
    pub(super) bytes_per_s: u32,
}

/// Reads an address to listen on or to connect to.
pub(super) fn parse_addr(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "an IP address and a port are needed, like 127.0.0.1:8080 or [::1]:0".to_owned()
    })
}

/// Reads a time like `10s`, `500ms` or `1m 30s`; a plain number is in seconds.
pub(super) fn parse_time(text: &str) -> Result<Duration, String> {
    let time = match text.parse() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?,
        Err(_) => humantime::parse_duration(text)
            .map_err(|error| format!("{error}; a time is like 10s, 500ms or 2m"))?,
    };
    if time <= TIME_MAX {
        Ok(time)
    } else {
        Err(format!(
            "the longest is {} days",
            TIME_MAX.as_secs() / 86_400
        ))
    }
}

/// Reads a time in which something can happen.
pub(super) fn parse_some_time(text: &str) -> Result<Duration, String> {
    parse_time(text).and_then(|time| {
        if time.is_zero() {
            Err("it has to be more than 0".to_owned())
        } else {
            Ok(time)
        }
    })
}

/// Reads a number above zero, with `/s` behind it or without.
pub(super) fn parse_rate(text: &str) -> Result<f64, String> {
    let rate = parse_per_second(text)?;
    if rate >= RATE_MIN {
        Ok(rate)
    } else {
        Err(format!(
            "it has to be more than 0, and the lowest is {RATE_MIN}"
        ))
    }
}

/// Reads a number, zero included, with `/s` behind it or without.
pub(super) fn parse_per_second(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text).parse().ok();
    let is_in_range = |rate: &f64| (0.0..=RATE_MAX).contains(rate);
    number.filter(is_in_range).ok_or_else(|| {
        format!("a number is needed, like 100 or 0.5, and the highest is {RATE_MAX}")
    })
}

pub(super) fn parse_lens(text: &str) -> Result<BodyLens, String> {
    let (min, max) = text.split_once("..").unwrap_or((text, text));
    let bounds = min
        .parse()
        .ok()
        .zip(max.strip_prefix('=').unwrap_or(max).parse().ok());
    bounds
        .and_then(|(min, max)| BodyLens::new(min, max))
        .ok_or_else(|| "a length or a range is needed, from 8 to 255, like 64 or 8..255".to_owned())
}

pub(super) fn parse_slow(text: &str) -> Result<Slow, String> {
    let (count, rate) = text.split_once(':').unwrap_or((text, SLOW_RATE));
    let slow = count
        .parse()
        .ok()
        .zip(rate.strip_suffix("/s").unwrap_or(rate).parse().ok());
    if let Some((_, 0)) = slow {
        return Err("at 0 bytes a second they never read: that is --stalled".to_owned());
    }
    slow.map(|(count, bytes_per_s)| Slow { count, bytes_per_s })
        .ok_or_else(|| format!("a number of clients is needed, and perhaps of bytes a second up to {}, like 3:5000", u32::MAX))
}

/// Draws a seed.
pub(super) fn random_seed() -> u64 {
    // The standard library seeds its hash maps from the system's randomness, and this is all that
    // is needed of it here.
    RandomState::new().build_hasher().finish()
}

/// How many bytes a second slow clients read when nothing is said. A judgement: far below any load.
const SLOW_RATE: &str = "10000";

/// The highest rate. A judgement: a message a nanosecond is beyond any machine.
const RATE_MAX: f64 = 1e9;

/// The lowest rate. A judgement: one message in some twelve days.
const RATE_MIN: f64 = 1e-6;

/// The longest time. A judgement: whoever measures for longer has stopped looking.
const TIME_MAX: Duration = Duration::from_secs(365 * 86_400);
