//! Durations and sizes as people write them on a command line.
//!
//! # Examples
//!
//! ```
//! use std::time::Duration;
//! use chat_units::{parse_duration, parse_size};
//!
//! assert_eq!(parse_duration("100ms"), Ok(Duration::from_millis(100)));
//! assert_eq!(parse_duration("5"), Ok(Duration::from_secs(5)));
//! assert_eq!(parse_size("8MiB"), Ok(8 << 20));
//! assert_eq!(parse_size("64kB"), Ok(64_000));
//! let error = parse_duration("5 parsecs").unwrap_err();
//! assert_eq!(error.to_string(), "`5 parsecs` is no duration; write it like 5s, 100ms or 1m 30s");
//! ```

use std::time::Duration;

use bytesize::ByteSize;

/// Says that a text is no figure of the kind that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnitError {
    /// The text is no duration.
    #[error("`{0}` is no duration; write it like 5s, 100ms or 1m 30s")]
    Duration(String),
    /// The text is no size.
    #[error("`{0}` is no size in bytes; write it like 65536, 64KiB or 8MiB")]
    Size(String),
}

/// Reads a duration: numbers with units from `ns` to `years`, added up; a lone number is seconds.
///
/// # Errors
///
/// [`UnitError::Duration`] for everything else.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let error = || UnitError::Duration(text.to_owned());
    match text.trim().parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|_| error()),
        Err(_) => humantime::parse_duration(text).map_err(|_| error()),
    }
}

/// Reads a size in bytes: a number with a unit of a thousand (`kB`, `MB`, `GB`) or 1024 (`KiB`,
/// `MiB`, `GiB`); a lone number is bytes.
///
/// # Errors
///
/// [`UnitError::Size`] for everything else.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    let size = text.trim().parse::<ByteSize>();
    size.map(|size| size.as_u64())
        .map_err(|_| UnitError::Size(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_and_seconds_need_none() {
        for (text, milliseconds) in [
            ("0", 0),
            ("5", 5000),
            ("0.5", 500),
            ("5s", 5000),
            ("100ms", 100),
            ("1m 30s", 90_000),
            ("2h", 7_200_000),
        ] {
            let expected = Duration::from_millis(milliseconds);
            assert_eq!(parse_duration(text), Ok(expected), "{text}");
        }
        for text in ["", "s", "-1", "-1s", "5x", "inf", "NaN", "1e300", "5s5"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_have_units_and_bytes_need_none() {
        for (text, bytes) in [
            ("0", 0),
            ("65536", 65536),
            ("64KiB", 65536),
            ("64 KiB", 65536),
            ("8MiB", 8 << 20),
            ("8mib", 8 << 20),
            ("1.5GB", 1_500_000_000),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "-1", "5x", "5s"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
