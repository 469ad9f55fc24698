//! What is printed: result lines on standard output, everything else on standard error.

use std::fmt;
use std::io::{self, Write};

use chat_results::{Count, Load, Verdict};

/// Prints the result lines, each at once.
#[derive(Debug)]
pub struct Lines<W> {
    out: W,
}

impl<W: Write> Lines<W> {
    /// Makes the lines of a run, on `out`.
    pub fn new(out: W) -> Self {
        Self { out }
    }

    /// Prints that a repetition of `load` begins.
    ///
    /// # Errors
    ///
    /// When it cannot be printed.
    pub fn launching(&mut self, iteration: u32, load: &Load) -> io::Result<()> {
        let Load {
            publishers,
            subscribers,
            repetitions,
            ..
        } = load;
        writeln!(
            self.out,
            "iteration {iteration} out of {repetitions}: launching {publishers} publishers, each sending {} to {subscribers} \
             subscribers...",
            sent_by_each(load)
        )?;
        self.out.flush()
    }

    /// Prints what a repetition counted. It has been proved: what was not received was dropped.
    pub fn completed(&mut self, count: &Count) -> io::Result<()> {
        let Count {
            own_sent: sent,
            own_delivered: delivered,
            took,
            ..
        } = *count;
        // Of nothing, nothing was dropped.
        let drop_rate = (sent - delivered) as f64 / sent.max(1) as f64;
        writeln!(
            self.out,
            "successfully received {delivered} messages out of {sent} sent (= drop rate of {drop_rate})"
        )?;
        self.out.flush()?;
        writeln!(self.out, "took {:.2} seconds", took.as_secs_f64())?;
        self.out.flush()
    }
}

/// Tells what each publisher sends.
fn sent_by_each(load: &Load) -> String {
    match (load.messages, load.duration) {
        (Some(messages), _) => format!("{messages} messages"),
        (None, duration) => format!(
            "messages for {} seconds",
            duration.unwrap_or_default().as_secs_f64()
        ),
    }
}

/// Standard output of a run that is more than its lines: it goes on when nobody reads them any
/// more.
#[derive(Debug)]
pub struct WhileRead<W>(
    /// Where it goes.
    pub W,
);

impl<W: Write> Write for WhileRead<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.write(bytes) {
            Err(error) if is_closed_pipe(&error) => Ok(bytes.len()),
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0.flush() {
            Err(error) if is_closed_pipe(&error) => Ok(()),
            flushed => flushed,
        }
    }
}

/// Tells whether whoever read an output has had enough.
pub fn is_closed_pipe(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}

/// Prints a line for people on standard error.
pub fn tell(line: impl fmt::Display) {
    // When nobody listens there, nothing is lost that anybody could be told.
    let _ = writeln!(io::stderr(), "{line}");
}

/// Tells on standard error what a run comes to, but for what passed: the failure that ended it, if
/// one did, with the seed that may repeat it, and what was found after it.
pub fn tell_verdict(verdict: &Verdict, failure: Option<&dyn fmt::Display>, seed: Option<u64>) {
    if let Some(failure) = failure {
        tell(format_args!("error: {failure}"));
    }
    if let Some(seed) = seed {
        tell(format_args!("note: repeat it with --seed {seed}"));
    }
    match verdict {
        Verdict::Failed { why } => {
            for why in why {
                tell(format_args!("error: {why}"));
            }
        }
        Verdict::Inconclusive { why } if failure.is_none() => {
            tell(format_args!("error: inconclusive: {why}"));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[track_caller]
    fn check(count: Count, expected: &str) {
        let mut out = Vec::new();
        let mut report = Lines::new(&mut out);
        let load = Load {
            repetitions: 100,
            ..Load::default()
        };
        report.launching(7, &load).unwrap();
        report.completed(&count).unwrap();
        let launching = "iteration 7 out of 100: launching 2 publishers, each sending 1000 messages to 3 subscribers...";
        assert_eq!(
            String::from_utf8(out).unwrap(),
            format!("{launching}\n{expected}\n")
        );
    }

    #[test]
    fn the_lines_have_the_classic_form() {
        check(
            Count {
                own_sent: 6000,
                own_delivered: 6000,
                took: Duration::from_millis(521),
                ..Count::default()
            },
            "successfully received 6000 messages out of 6000 sent (= drop rate of 0)\ntook 0.52 seconds",
        );
        check(
            Count {
                own_sent: 6000,
                own_delivered: 4500,
                took: Duration::from_secs(12),
                ..Count::default()
            },
            "successfully received 4500 messages out of 6000 sent (= drop rate of 0.25)\ntook 12.00 seconds",
        );
        check(
            Count {
                own_sent: 100_000_000,
                own_delivered: 99_999_999,
                took: Duration::ZERO,
                ..Count::default()
            },
            "successfully received 99999999 messages out of 100000000 sent (= drop rate of 0.00000001)\ntook 0.00 seconds",
        );
    }
}
