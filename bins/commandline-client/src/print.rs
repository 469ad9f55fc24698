//! How a message is printed.

use std::{ascii, io::IsTerminal};

use chat_proto::Body;

/// The form in which bodies are printed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    /// The bytes as they are, for programs to read.
    Raw,
    /// Text that cannot drive a terminal, whoever sent it.
    ///
    /// Printable Unicode stays. Control characters, C1 included, what changes the order or the
    /// lines of text, and what is not UTF-8 are shown byte by byte, as `\x1b` or `\n`. A
    /// backslash stays too: the form is for eyes and is not meant to be read back.
    Escaped,
}

impl Form {
    /// Chooses the form that suits an output.
    pub(crate) fn suiting(output: &impl IsTerminal) -> Self {
        if output.is_terminal() {
            Self::Escaped
        } else {
            Self::Raw
        }
    }

    /// Adds the line that shows `body` to `text`; in the escaped form it is up to four times as
    /// long.
    pub(crate) fn append_line(self, body: Body<'_>, text: &mut Vec<u8>) {
        match self {
            Self::Raw => text.extend_from_slice(body.as_bytes()),
            Self::Escaped => append_escaped(body.as_bytes(), text),
        }
        text.push(b'\n');
    }
}

fn append_escaped(bytes: &[u8], text: &mut Vec<u8>) {
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            let mut utf8 = [0; 4];
            let bytes = c.encode_utf8(&mut utf8).as_bytes();
            if drives_terminal(c) {
                append_bytes_escaped(bytes, text);
            } else {
                text.extend_from_slice(bytes);
            }
        }
        append_bytes_escaped(chunk.invalid(), text);
    }
}

fn append_bytes_escaped(bytes: &[u8], text: &mut Vec<u8>) {
    text.extend(bytes.iter().copied().flat_map(ascii::escape_default));
}

/// Tells whether a terminal may act on `c` rather than show it.
///
/// Source: Unicode, general category Cc; line and paragraph separators and the bidirectional
/// controls (UAX #9, section 2).
fn drives_terminal(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::Form;
    use chat_proto::Body;
    use proptest::prelude::*;

    fn line(form: Form, bytes: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        form.append_line(Body::new(bytes).unwrap(), &mut text);
        assert_eq!(text.pop(), Some(b'\n'));
        text
    }

    #[track_caller]
    fn check(bytes: &[u8], expected: &str) {
        assert_eq!(
            String::from_utf8(line(Form::Escaped, bytes)).as_deref(),
            Ok(expected)
        );
    }

    #[test]
    fn printable_text_stays() {
        for text in [
            "",
            "hello, world",
            r"C:\temp 'quoted'",
            "Grüße, 世界 👩‍👩‍👧",
            "\u{a0}~",
        ] {
            check(text.as_bytes(), text);
        }
    }

    #[test]
    fn what_controls_a_terminal_is_escaped() {
        check(b"\x1b[2J", r"\x1b[2J");
        check(b"a\x07\x08\x7fb", r"a\x07\x08\x7fb");
        check(b"one\r\ntwo\tthree\0", r"one\r\ntwo\tthree\x00");
        check(
            "\u{9b}2J\u{9d}0;title\u{9c}".as_bytes(),
            r"\xc2\x9b2J\xc2\x9d0;title\xc2\x9c",
        );
        check(
            "a\u{202e}b\u{2028}c".as_bytes(),
            r"a\xe2\x80\xaeb\xe2\x80\xa8c",
        );
    }

    #[test]
    fn what_is_not_utf_8_is_escaped() {
        check(b"\x9b2J", r"\x9b2J");
        check(b"a\xffb\xe4\xb8", r"a\xffb\xe4\xb8");
    }

    #[test]
    fn the_longest_line_is_four_times_as_long() {
        assert_eq!(line(Form::Escaped, &[0x1b; 255]).len(), 4 * 255);
    }

    proptest! {
        #[test]
        fn no_bytes_drive_a_terminal(bytes in prop::collection::vec(any::<u8>(), 0..=255)) {
            let escaped = String::from_utf8(line(Form::Escaped, &bytes)).unwrap();
            prop_assert!(!escaped.contains(char::is_control), "{escaped:?}");
            prop_assert_eq!(line(Form::Raw, &bytes), bytes);
        }
    }
}
