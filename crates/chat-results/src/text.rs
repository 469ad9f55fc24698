//! How times and rates are read from what people write.

use std::time::Duration;

/// Reads a time like `10s`, `500ms` or `1m 30s`; a plain number is in seconds.
///
/// # Errors
///
/// When it is none, and when it is longer than a year.
pub fn parse_time(text: &str) -> Result<Duration, TextError> {
    let time = match text.parse() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds)
            .map_err(|error| TextError::Seconds(error.to_string()))?,
        Err(_) => {
            humantime::parse_duration(text).map_err(|error| TextError::Time(error.to_string()))?
        }
    };
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

/// Reads a number, zero included, with `/s` behind it or without.
///
/// # Errors
///
/// When it is none, and when it is more often than a nanosecond.
pub fn parse_per_second(text: &str) -> Result<f64, TextError> {
    let number = text.strip_suffix("/s").unwrap_or(text).parse().ok();
    let is_in_range = |rate: &f64| (0.0..=RATE_MAX).contains(rate);
    number.filter(is_in_range).ok_or(TextError::Rate)
}

/// Why a text is no time and no rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// It is a number that is no time.
    #[error("{0}")]
    Seconds(String),
    /// It is no time.
    #[error("{0}; a time is like 10s, 500ms or 2m")]
    Time(String),
    /// It is longer than anybody waits.
    #[error("the longest is {} days", TIME_MAX.as_secs() / 86_400)]
    TooLong,
    /// Nothing can happen in it.
    #[error("it has to be more than 0")]
    NoTime,
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

/// The longest time. A judgement: whoever measures for longer has stopped looking.
const TIME_MAX: Duration = Duration::from_secs(365 * 86_400);
