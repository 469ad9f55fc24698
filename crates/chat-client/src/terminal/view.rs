//! Entries as lines of the terminal.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::feed::{Entry, Level, Showing};
use super::nick::split_name;
use super::rows::{width, wrap};
use crate::escape::append_escaped;

/// Turns entries into lines.
///
/// Everything that anybody sent stands after a margin, every row of it, and the client's notices
/// do not. So no message looks like the client's words or like the prompt.
#[derive(Debug)]
pub(super) struct View {
    colours: Colours,
    /// The margin of one's own messages.
    own: &'static str,
    zone: TimeZone,
    /// The minute that was told last, since 1970.
    minute: Option<i64>,
}

/// Whether there are colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colours {
    /// Names have colours, and what matters less is dim.
    #[default]
    On,
    /// There are none.
    Off,
}

/// How bodies are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyForm {
    Text,
    Hex,
}

/// How a part of a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Dim,
    Warning,
    /// One of the colours for names.
    Name(usize),
}

impl Colours {
    /// Adds text that looks like `style` to `line`.
    pub(super) fn append(self, style: Style, text: &str, line: &mut String) {
        if self == Self::Off || text.trim().is_empty() {
            line.push_str(text);
            return;
        }
        let code = match style {
            Style::Dim => 2,
            Style::Warning => 33,
            Style::Name(index) => NAME_COLOURS[index % NAME_COLOURS.len()],
        };
        line.push_str(&format!("\x1b[{code}m{text}\x1b[0m"));
    }

    pub(super) fn paint(self, style: Style, text: &str) -> String {
        let mut line = String::new();
        self.append(style, text, &mut line);
        line
    }
}

impl View {
    /// Shows entries on a terminal with these colours, and the time in this zone.
    pub(super) fn on_screen(colours: Colours, zone: TimeZone) -> Self {
        Self {
            colours,
            own: "» ",
            zone,
            minute: None,
        }
    }

    /// Shows entries in words only, which can be read out.
    pub(super) fn in_lines(zone: TimeZone) -> Self {
        Self {
            own: "sent: ",
            ..Self::on_screen(Colours::Off, zone)
        }
    }

    /// Returns the lines that show something, on so many columns.
    pub(super) fn render(&mut self, showing: Showing, form: BodyForm, columns: usize) -> String {
        let mut lines = String::new();
        let others = |entry: &&Entry| matches!(entry, Entry::Other { .. });
        let other_count = showing.entries.iter().filter(others).count();
        if showing.omitted > 0 {
            let text = format!(
                "… {} earlier lines are not shown",
                group_digits(showing.omitted)
            );
            self.append_notice(Level::Warning, &text, columns, &mut lines);
        }
        for entry in showing.entries {
            match entry {
                Entry::Other { body, at } => {
                    self.append_time(at, &mut lines);
                    self.append_message(OTHER, &body, form, columns, &mut lines);
                }
                Entry::Own {
                    body,
                    at,
                    round_trip,
                } => {
                    self.append_time(at, &mut lines);
                    self.append_message(self.own, &body, form, columns, &mut lines);
                    self.append_round_trip(round_trip, &mut lines);
                }
                Entry::Notice { level, text } => {
                    self.append_time(SystemTime::now(), &mut lines);
                    self.append_notice(level, &text, columns, &mut lines);
                }
            }
        }
        // Below them, where it is seen.
        if let Some((count, period)) = showing.flood {
            let count = group_digits(count);
            let period = in_words(period);
            let text = format!("… {count} messages in {period}, last {other_count} shown");
            self.append_notice(Level::Info, &text, columns, &mut lines);
        }
        lines
    }

    /// Tells the time when the minute has changed.
    fn append_time(&mut self, at: SystemTime, lines: &mut String) {
        let Ok(timestamp) = Timestamp::try_from(at) else {
            return;
        };
        let minute = timestamp.as_second().div_euclid(60);
        if self.minute.replace(minute) != Some(minute) {
            let time = timestamp
                .to_zoned_datetime(self.zone.clone())
                .strftime("-- %H:%M")
                .to_string();
            self.colours.append(Style::Dim, &time, lines);
            lines.push('\n');
        }
    }

    fn append_notice(&self, level: Level, text: &str, columns: usize, lines: &mut String) {
        let style = match level {
            Level::Info => Style::Dim,
            Level::Warning => Style::Warning,
        };
        for (index, row) in rows_of(text, "-- ", columns).into_iter().enumerate() {
            let margin = if index == 0 { "-- " } else { "   " };
            self.colours.append(style, &format!("{margin}{row}"), lines);
            lines.push('\n');
        }
    }

    fn append_message(
        &self,
        margin: &str,
        body: &[u8],
        form: BodyForm,
        columns: usize,
        lines: &mut String,
    ) {
        if body.is_empty() {
            self.colours
                .append(Style::Dim, &format!("{margin}(empty)"), lines);
            lines.push('\n');
            return;
        }
        let text = show_body(body, form);
        for (index, row) in rows_of(&text, margin, columns).into_iter().enumerate() {
            if index > 0 {
                lines.push_str("  ");
                lines.push_str(row);
            } else {
                self.colours.append(Style::Dim, margin, lines);
                match split_name(row) {
                    Some((name, rest, colour)) => {
                        self.colours.append(Style::Name(colour), name, lines);
                        lines.push_str(rest);
                    }
                    None => lines.push_str(row),
                }
            }
            lines.push('\n');
        }
    }

    /// Adds how long the last message took to its line.
    fn append_round_trip(&self, round_trip: Option<Duration>, lines: &mut String) {
        if let Some(time) = round_trip.filter(|&time| time > ROUND_TRIP_SHOWN) {
            lines.pop();
            let text = format!(" ({})", in_words(time));
            self.colours.append(Style::Dim, &text, lines);
            lines.push('\n');
        }
    }
}

fn show_body(body: &[u8], form: BodyForm) -> String {
    let mut text = String::new();
    match form {
        BodyForm::Text => append_escaped(body, &mut text),
        BodyForm::Hex => {
            let bytes: Vec<_> = body.iter().map(|byte| format!("{byte:02x}")).collect();
            text = bytes.join(" ");
        }
    }
    text
}

/// Divides a text into rows that fit beside the margin, as far as they can: a terminal that divided
/// them itself would begin a row without the margin.
fn rows_of<'a>(text: &'a str, margin: &str, columns: usize) -> Vec<&'a str> {
    wrap(text, columns.saturating_sub(width(margin) + 1).max(1))
}

/// Writes a number with thin gaps between the thousands.
pub(super) fn group_digits(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Writes a time as people say it, with two digits or more.
pub(super) fn in_words(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        0.0..0.01 => format!("{:.1} ms", seconds * 1e3),
        0.01..1.0 => format!("{:.0} ms", seconds * 1e3),
        1.0..10.0 if (seconds - seconds.round()).abs() >= 0.05 => format!("{seconds:.1} s"),
        1.0..90.0 => format!("{seconds:.0} s"),
        90.0..5400.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.0} h", seconds / 3600.0),
    }
}

/// The margin of the messages of others; the client's words begin with `-- `.
const OTHER: &str = "  ";

/// The colours for names: those of the sixteen that can be read on light and on dark. A judgement.
const NAME_COLOURS: [u8; 6] = [31, 32, 35, 36, 91, 94];

/// How long a round trip has to be to be told of.
const ROUND_TRIP_SHOWN: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    fn view(colours: Colours) -> View {
        let mut view = View::on_screen(colours, TimeZone::UTC);
        view.minute = Some(0);
        view
    }

    fn other(body: &[u8]) -> Entry {
        let at = SystemTime::UNIX_EPOCH;
        Entry::Other {
            body: body.to_vec(),
            at,
        }
    }

    fn own(body: &str, milliseconds: u64) -> Entry {
        Entry::Own {
            body: body.into(),
            at: SystemTime::UNIX_EPOCH,
            round_trip: Some(Duration::from_millis(milliseconds)),
        }
    }

    #[track_caller]
    fn check(entry: Entry, columns: usize, expected: &str) {
        let showing = Showing {
            flood: None,
            omitted: 0,
            entries: vec![entry],
        };
        let lines = view(Colours::Off).render(showing, BodyForm::Text, columns);
        assert_eq!(lines, expected);
    }

    #[test]
    fn messages_stand_after_a_margin() {
        check(other(b"hello"), 80, "  hello\n");
        check(own("hello", 3), 80, "» hello\n");
        check(own("hello", 132), 80, "» hello (132 ms)\n");
        check(other(b""), 80, "  (empty)\n");
    }

    #[test]
    fn no_row_of_a_message_looks_like_a_prompt_or_a_notice() {
        check(other(b"\r> rm"), 80, "  \\r> rm\n");
        let padded = format!("{:17}-- connected", "a");
        check(other(padded.as_bytes()), 20, "  a\n  -- connected\n");
        let words = "0123456789abcdef> prompt";
        check(
            other(words.as_bytes()),
            19,
            "  0123456789abcdef\n  > prompt\n",
        );
    }

    #[test]
    fn on_a_narrow_terminal_each_row_has_its_margin_too() {
        check(other(b"hello -- all"), 8, "  hello\n  --\n  all\n");
        for columns in 0..5 {
            check(other(b"-- x"), columns, "  -\n  -\n  x\n");
        }
    }

    #[test]
    fn names_have_their_colours() {
        let showing = Showing {
            flood: None,
            omitted: 0,
            entries: vec![other(b"ann: hi"), other(b"ann: again"), other(b"no name")],
        };
        let lines = view(Colours::On).render(showing, BodyForm::Text, 80);
        let colours: Vec<_> = lines.matches("mann:").collect();
        assert_eq!(colours.len(), 2, "{lines:?}");
        assert!(lines.ends_with("\n  no name\n"), "{lines:?}");
    }

    #[test]
    fn the_time_is_told_when_the_minute_changes() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let entries = [59, 60, 119, 120].map(|seconds| Entry::Other {
            body: b"x".to_vec(),
            at: at(seconds),
        });
        let showing = Showing {
            flood: None,
            omitted: 0,
            entries: entries.to_vec(),
        };
        let lines = view(Colours::Off).render(showing, BodyForm::Text, 80);
        assert_eq!(lines, "  x\n-- 00:01\n  x\n  x\n-- 00:02\n  x\n");
    }

    #[test]
    fn a_flood_says_how_much_it_was() {
        let flood = Some((12_304, Duration::from_secs(1)));
        let showing = Showing {
            flood,
            omitted: 1100,
            entries: vec![other(b"x")],
        };
        let lines = view(Colours::Off).render(showing, BodyForm::Hex, 80);
        let expected = "-- … 1 100 earlier lines are not shown\n  78\n\
                        -- … 12 304 messages in 1 s, last 1 shown\n";
        assert_eq!(lines, expected);
    }

    #[test]
    fn numbers_and_times_are_in_words() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(group_digits),
            ["0", "999", "1 000", "1 234 567"]
        );
        let times = [0.0004, 0.132, 1.0, 1.04, 2.5, 42.0, 125.0, 7200.0];
        let words = times.map(|seconds| in_words(Duration::from_secs_f64(seconds)));
        assert_eq!(
            words,
            [
                "0.4 ms", "132 ms", "1 s", "1 s", "2.5 s", "42 s", "2 min", "2 h"
            ]
        );
    }
}
