//! Text that cannot control a terminal.

use std::ascii;

use icu_properties::props::{
    DefaultIgnorableCodePoint, Emoji, EmojiModifier, ExtendedPictographic, GeneralCategory,
};
use icu_properties::{CodePointMapData, CodePointSetData};

/// Returns text of others in a form that a terminal shows and does not act on; see
/// [`append_escaped`].
///
/// # Examples
///
/// ```
/// use chat_client::escape;
///
/// assert_eq!(escape("Grüße, 世界".as_bytes()), "Grüße, 世界");
/// assert_eq!(escape(b"\x1b]0;title\x07"), r"\x1b]0;title\x07");
/// assert_eq!(escape("pay\u{200b}pal".as_bytes()), r"pay\u{200b}pal");
/// assert_eq!(escape(b"\xff"), r"\xff");
/// ```
pub fn escape(bytes: &[u8]) -> String {
    let mut text = String::new();
    append_escaped(bytes, &mut text);
    text
}

/// Adds text of others to `text`, in a form that a terminal shows and does not act on.
///
/// These become escapes: control characters (`\x1b`, `\n`, `\u{9b}`), format characters and all
/// others that are invisible by default, such as those that change the direction of text
/// (`\u{202e}`), and line and paragraph separators. Which they are, the Unicode properties
/// `General_Category` and `Default_Ignorable_Code_Point` say. Bytes that are not UTF-8 become
/// `\xff`. Emoji that consist of several characters stay whole. A backslash stays too: the form is
/// for eyes, and not meant to be read back.
///
/// The addition is at most four times as long as `bytes`, and eight bytes for a character that
/// becomes an escape.
pub fn append_escaped(bytes: &[u8], text: &mut String) {
    for chunk in bytes.utf8_chunks() {
        append_text(chunk.valid(), text);
        for &byte in chunk.invalid() {
            append_byte(byte, text);
        }
    }
}

fn append_text(valid: &str, text: &mut String) {
    if valid.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        text.push_str(valid);
        return;
    }
    for (char, is_shown) in with_visibility(valid) {
        if is_shown {
            text.push(char);
        } else if char.is_ascii() {
            append_byte(char as u8, text);
        } else {
            text.extend(char.escape_unicode());
        }
    }
}

/// Returns each character of a text, and whether it is shown, alone or as a part of an emoji.
pub(crate) fn with_visibility(text: &str) -> impl Iterator<Item = (char, bool)> {
    let mut before = Before::default();
    let mut chars = text.chars().peekable();
    std::iter::from_fn(move || {
        let char = chars.next()?;
        let is_shown = is_shown(char) || before.makes_emoji_with(char, chars.peek().copied());
        before.shift(char);
        Some((char, is_shown))
    })
}

fn append_byte(byte: u8, text: &mut String) {
    text.extend(ascii::escape_default(byte).map(char::from));
}

/// Tells whether a character takes a place of its own, or adds a mark to the one before.
fn is_shown(char: char) -> bool {
    use GeneralCategory::{Control, Format, LineSeparator, ParagraphSeparator};
    let category = CodePointMapData::<GeneralCategory>::new().get(char);
    !matches!(
        category,
        Control | Format | LineSeparator | ParagraphSeparator
    ) && !CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(char)
}

/// The characters before one.
#[derive(Default)]
struct Before {
    char: Option<char>,
    /// The same, or what is before it if it only chooses how that is shown.
    base: Option<char>,
}

impl Before {
    /// Tells whether an invisible character is a part of an emoji: it chooses the coloured form, or
    /// joins two of them (Unicode Technical Standard #51, sections 1.4.3 and 1.4.9). Digits, `#` and
    /// `*` have such a form as keycaps only (section 1.4.5).
    fn makes_emoji_with(&self, char: char, after: Option<char>) -> bool {
        match char {
            EMOJI_PRESENTATION => self.char.is_some_and(|before| {
                CodePointSetData::new::<Emoji>().contains(before)
                    && (!before.is_ascii() || after == Some(KEYCAP))
            }),
            ZERO_WIDTH_JOINER => {
                self.base.is_some_and(is_pictograph) && after.is_some_and(is_pictograph)
            }
            _ => false,
        }
    }

    fn shift(&mut self, char: char) {
        self.char = Some(char);
        if char != EMOJI_PRESENTATION {
            self.base = self.char;
        }
    }
}

fn is_pictograph(char: char) -> bool {
    CodePointSetData::new::<ExtendedPictographic>().contains(char)
        || CodePointSetData::new::<EmojiModifier>().contains(char)
}

const EMOJI_PRESENTATION: char = '\u{fe0f}';
const ZERO_WIDTH_JOINER: char = '\u{200d}';
const KEYCAP: char = '\u{20e3}';

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(bytes: impl AsRef<[u8]>, expected: &str) {
        assert_eq!(escape(bytes.as_ref()), expected);
    }

    #[test]
    fn text_stays() {
        for text in [
            "",
            "hello, world",
            r"C:\temp 'quoted'",
            "Grüße, 世界, e\u{301}, \u{a0}~",
            "👩\u{200d}👩\u{200d}👧 👩🏽\u{200d}🚀 ❤\u{fe0f} ❤\u{fe0f}\u{200d}🔥 1\u{fe0f}\u{20e3} 🇩🇪",
        ] {
            check(text, text);
        }
    }

    #[test]
    fn what_controls_a_terminal_is_escaped() {
        check(b"\x1b[2J", r"\x1b[2J");
        check(b"a\x07\x08\x7fb", r"a\x07\x08\x7fb");
        check(b"one\r\ntwo\tthree\0", r"one\r\ntwo\tthree\x00");
        check(
            "\u{9b}2J\u{9d}0;title\u{9c}",
            r"\u{9b}2J\u{9d}0;title\u{9c}",
        );
        check(
            "a\u{202e}b\u{2028}c\u{2066}",
            r"a\u{202e}b\u{2028}c\u{2066}",
        );
    }

    #[test]
    fn what_hides_is_escaped() {
        for hidden in [
            '\u{200b}',
            '\u{200c}',
            '\u{200d}',
            '\u{feff}',
            '\u{ad}',
            '\u{2060}',
            '\u{e0041}',
            '\u{115f}',
            '\u{3164}',
            '\u{fe0f}',
            '\u{e0100}',
            '\u{180e}',
            '\u{61c}',
            '\u{1d173}',
        ] {
            check(
                format!("a{hidden}b"),
                &format!("a{}b", hidden.escape_unicode()),
            );
        }
        // An emoji may not carry more than belongs to it.
        check("❤\u{fe0f}\u{fe0f}", "❤\u{fe0f}\\u{fe0f}");
        check("❤\u{200d}\u{200d}🔥", "❤\\u{200d}\\u{200d}🔥");
        check("❤\u{200d}x", "❤\\u{200d}x");
        for text in ["1\u{fe0f}", "#\u{fe0f}1", "*\u{fe0f}\u{fe0f}\u{20e3}"] {
            let escaped = escape(text.as_bytes());
            assert!(escaped.contains("\\u{fe0f}"), "{escaped}");
        }
    }

    #[test]
    fn what_is_not_utf_8_is_escaped() {
        check(b"\x9b2J", r"\x9b2J");
        check(b"a\xffb\xe4\xb8", r"a\xffb\xe4\xb8");
    }

    proptest! {
        #[test]
        fn no_bytes_control_a_terminal(bytes in prop::collection::vec(any::<u8>(), 0..=255)) {
            let escaped = escape(&bytes);
            prop_assert!(!escaped.contains(char::is_control), "{escaped:?}");
        }

        #[test]
        fn no_text_hides(text in any::<String>()) {
            let escaped = escape(text.as_bytes());
            let hidden: Vec<_> = escaped.chars().filter(|&char| !is_shown(char)).collect();
            prop_assert!(
                hidden.iter().all(|&char| matches!(char, EMOJI_PRESENTATION | ZERO_WIDTH_JOINER)),
                "{hidden:?}"
            );
        }
    }
}
