//! A load in words.

use std::fmt;

use crate::load::{Load, Pacing};

/// Tells who takes part, at which pace, with which bodies, and for how long.
impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = if self.publishers == 1 { "" } else { " each" };
        write!(
            f,
            "{} with {}{each}, ",
            many(self.publishers, "publisher"),
            many(self.subscribers, "subscriber")
        )?;
        match self.pacing {
            Pacing::Rate(rate) => write!(f, "{rate} messages per second on a schedule")?,
            Pacing::Flood => f.write_str("as many messages in flight as the server takes")?,
            Pacing::LOCK_STEP => f.write_str("one message in flight per publisher")?,
            Pacing::Window(window) => write!(f, "{window} messages in flight per publisher")?,
        }
        match self.size.bounds() {
            [min, max] if min == max => write!(f, ", bodies of {min} bytes")?,
            [min, max] => write!(f, ", bodies of {min} to {max} bytes")?,
        }
        if let Some(duration) = self.duration {
            write!(f, ", for {} s", duration.as_secs_f64())?;
        } else if let Some(messages) = self.messages {
            write!(f, ", {} per publisher", many(messages, "message"))?;
        }
        if self.repetitions > 1 {
            write!(f, ", {} times", self.repetitions)?;
        }
        if self.stalled > 0 {
            write!(f, ", {} that never read", many(self.stalled, "client"))?;
        }
        if self.slow.count > 0 {
            write!(f, ", {}", many(self.slow.count, "slow client"))?;
        }
        if self.churn > 0.0 {
            write!(f, ", {} visitors per second", self.churn)?;
        }
        Ok(())
    }
}

fn many(count: u32, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::load::{BodyLens, Slow};

    #[test]
    fn a_load_is_told_in_words() {
        let classic = "2 publishers with 3 subscribers each, one message in flight per publisher, \
                       bodies of 8 to 255 bytes, 1000 messages per publisher, 100 times";
        let load = Load {
            repetitions: 100,
            ..Load::default()
        };
        assert_eq!(load.to_string(), classic);
        let load = Load {
            publishers: 1,
            subscribers: 1,
            messages: None,
            duration: Some(Duration::from_millis(1500)),
            pacing: Pacing::Rate(1e4),
            size: BodyLens::new(64, 64).unwrap(),
            stalled: 1,
            slow: "2:1000".parse::<Slow>().unwrap(),
            churn: 0.5,
            ..Load::default()
        };
        let all = "1 publisher with 1 subscriber, 10000 messages per second on a schedule, bodies of 64 \
                   bytes, for 1.5 s, 1 client that never read, 2 slow clients, 0.5 visitors per second";
        assert_eq!(load.to_string(), all);
    }
}
