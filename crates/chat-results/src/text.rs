//! How times and rates are read from what people write.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::units::Quantity;

/// Reads a time like `10s`, `500ms` or `1m 30s`; a plain number is in seconds.
///
/// # Errors
///
/// When it is none, and when it is longer than a year.
pub fn parse_time(text: &str) -> Result<Duration, TextError> {
    let time = chat_units::parse_duration(text)?;
    if time <= TIME_MAX {
        Ok(time)
    } else {
        Err(TextError::TooLong)
    }
}

/// Reads a time in which something can happen.
///
/// # Errors
///
/// As [`parse_time`], and when there is no time.
pub fn parse_some_time(text: &str) -> Result<Duration, TextError> {
    let time = parse_time(text)?;
    if time.is_zero() {
        Err(TextError::NoTime)
    } else {
        Ok(time)
    }
}

/// Reads how often something happens a second: a number above zero, with `/s` behind it or without.
///
/// # Errors
///
/// As [`parse_per_second`], and when it is next to never.
pub fn parse_rate(text: &str) -> Result<f64, TextError> {
    let rate = parse_per_second(text)?;
    if rate >= RATE_MIN {
        Ok(rate)
    } else {
        Err(TextError::TooRare)
    }
}

/// Reads how long nothing may go on, from a second to an hour.
///
/// # Errors
///
/// As [`parse_time`], and when it is shorter or longer than that.
pub fn parse_timeout(text: &str) -> Result<Duration, TextError> {
    let timeout = parse_time(text)?;
    if TIMEOUTS.contains(&timeout) {
        Ok(timeout)
    } else {
        Err(TextError::Timeout)
    }
}

/// Reads how many there are, at least one: a number like `500`, `5k` or `2M`.
///
/// # Errors
///
/// When it is none, not a whole one, or too large.
#[allow(clippy::cast_possible_truncation, reason = "it is whole and in range")]
pub fn parse_count(text: &str) -> Result<u32, TextError> {
    let count = number(text, Quantity::Rate).filter(|count| count.fract() == 0.0);
    let is_in_range = |count: &f64| (1.0..=f64::from(u32::MAX)).contains(count);
    let count = count.filter(is_in_range).map(|count| count as u32);
    count.ok_or(TextError::Count)
}

/// Reads how many bytes there are: a number like `500` or `64KiB`.
pub(crate) fn parse_bytes(text: &str) -> Option<u32> {
    let bytes = chat_units::parse_size(text).ok()?;
    u32::try_from(bytes).ok()
}

/// Reads a number with a unit of a quantity behind it.
fn number(text: &str, quantity: Quantity) -> Option<f64> {
    if let Ok(number) = text.parse() {
        return quantity.read(number, "");
    }
    let unit = text.trim_start_matches(|char: char| char.is_ascii_digit() || char == '.');
    let number = text[..text.len() - unit.len()].parse().ok()?;
    quantity.read(number, unit.trim_start())
}

/// Reads a number, zero included, like `0.5` or `5k`, with `/s` behind it or without.
///
/// # Errors
///
/// When it is none, and when it is more often than a nanosecond.
pub fn parse_per_second(text: &str) -> Result<f64, TextError> {
    let number = number(text.strip_suffix("/s").unwrap_or(text), Quantity::Rate);
    let is_in_range = |rate: &f64| (0.0..=RATE_MAX).contains(rate);
    number.filter(is_in_range).ok_or(TextError::Rate)
}

/// Why a text is no time and no rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// It is no time.
    #[error(transparent)]
    Time(#[from] chat_units::UnitError),
    /// It is longer than anybody waits.
    #[error("the longest is {} days", TIME_MAX.as_secs() / 86_400)]
    TooLong,
    /// Nothing can happen in it.
    #[error("it has to be more than 0")]
    NoTime,
    /// It is too short or too long to wait for.
    #[error("it has to be from 1s to 1h")]
    Timeout,
    /// It is no number of things.
    #[error("a whole number is needed, from 1 to {}, like 500, 5k or 2M", u32::MAX)]
    Count,
    /// It is no rate.
    #[error("a number is needed, like 100 or 0.5, and the highest is {RATE_MAX}")]
    Rate,
    /// It is a rate at which next to nothing happens.
    #[error("it has to be more than 0, and the lowest is {RATE_MIN}")]
    TooRare,
}

/// The highest rate. A judgement: a message a nanosecond is beyond any machine.
const RATE_MAX: f64 = 1e9;

/// The lowest rate. A judgement: one message in some twelve days.
const RATE_MIN: f64 = 1e-6;

/// How long nothing may go on. A judgement: servers pause for less than a second, and nobody waits
/// for longer than an hour.
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);

/// The longest time. A judgement: whoever measures for longer has stopped looking.
const TIME_MAX: Duration = Duration::from_secs(365 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_may_have_units() {
        for (text, rate) in [
            ("0", 0.0),
            ("5k", 5000.0),
            ("1.5K/s", 1500.0),
            ("2M", 2e6),
            ("1e3", 1000.0),
        ] {
            assert_eq!(parse_per_second(text), Ok(rate), "{text}");
        }
        for text in ["", "k", "5x", "-5k", "1e10", "5kk", "NaN"] {
            assert_eq!(parse_per_second(text), Err(TextError::Rate), "{text}");
        }
        for (text, count) in [
            ("1", 1),
            ("5k", 5000),
            ("0.5k", 500),
            ("4294967295", u32::MAX),
        ] {
            assert_eq!(parse_count(text), Ok(count), "{text}");
        }
        for text in ["0", "0.5", "4294967296", "5G", "-1", "many"] {
            assert_eq!(parse_count(text), Err(TextError::Count), "{text}");
        }
        for (text, bytes) in [("1", 1), ("64KiB", 65_536), ("0.5 MiB", 524_288)] {
            assert_eq!(parse_bytes(text), Some(bytes), "{text}");
        }
        for text in ["", "4GiB", "-1", "99999999999"] {
            assert_eq!(parse_bytes(text), None, "{text}");
        }
    }

    #[test]
    fn a_timeout_is_a_time_that_somebody_waits_for() {
        assert_eq!(parse_timeout("5"), Ok(Duration::from_secs(5)));
        assert_eq!(parse_timeout("1m 30s"), Ok(Duration::from_secs(90)));
        for text in ["0", "999ms", "3601"] {
            assert_eq!(parse_timeout(text), Err(TextError::Timeout), "{text}");
        }
    }
}
