//! Names of people.

use std::fmt;
use std::str::FromStr;

use super::rows::width;
use crate::escape;

/// A name to put before one's messages: `NAME: text`.
///
/// # Examples
///
/// ```
/// use chat_client::terminal::Nick;
///
/// let nick: Nick = "ann".parse()?;
/// assert_eq!(nick.to_string(), "ann");
/// assert!("two words".parse::<Nick>().is_err());
/// # Ok::<(), chat_client::terminal::NickError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nick(String);

/// Says that a text is not a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to {NICK_LEN_MAX} bytes, all of them visible, without spaces and colons")]
pub struct NickError;

impl Nick {
    /// Returns what is put before each message.
    pub(super) fn prefix(&self) -> String {
        format!("{}: ", self.0)
    }
}

impl FromStr for Nick {
    type Err = NickError;

    fn from_str(name: &str) -> Result<Self, NickError> {
        if is_name(name) && escape(name.as_bytes()) == name {
            Ok(Self(name.to_owned()))
        } else {
            Err(NickError)
        }
    }
}

impl fmt::Display for Nick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Divides `NAME: text` after the colon, and chooses a colour: one name always has the same.
pub(super) fn split_name(text: &str) -> Option<(&str, &str, usize)> {
    let colon = text.find(": ")?;
    let name = &text[..colon];
    if !is_name(name) {
        return None;
    }
    let (name_and_colon, rest) = text.split_at(colon + 1);
    Some((name_and_colon, rest, hash(name)))
}

fn is_name(text: &str) -> bool {
    let is_part = |char: char| !char.is_whitespace() && char != ':';
    (1..=NICK_LEN_MAX).contains(&text.len()) && text.chars().all(is_part) && width(text) > 0
}

/// FNV-1a, which gives the same every time: <http://www.isthe.com/chongo/tech/comp/fnv/>.
fn hash(name: &str) -> usize {
    let step = |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    name.bytes().fold(0x811c_9dc5, step) as usize
}

/// How many bytes a name has at most. A judgement: it is in every message.
const NICK_LEN_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_visible_word() {
        for name in ["a", "Jürgen", "世界", "x-1_[y]"] {
            assert_eq!(name.parse::<Nick>().unwrap().prefix(), format!("{name}: "));
        }
        let long = "x".repeat(33);
        for text in [
            "",
            " ",
            "a b",
            "a:",
            "\x1b[1m",
            "a\u{200b}b",
            "\u{301}",
            &long,
        ] {
            assert_eq!(text.parse::<Nick>(), Err(NickError), "{text:?}");
        }
    }

    #[test]
    fn the_name_at_the_beginning_of_a_message_is_found() {
        assert_eq!(
            split_name("ann: hi").map(|(name, rest, _)| (name, rest)),
            Some(("ann:", " hi"))
        );
        assert_eq!(
            split_name("ann: a").unwrap().2,
            split_name("ann: b").unwrap().2
        );
        for text in ["", "hello", "http://x", ": x", "two words: x", "ann:"] {
            assert_eq!(split_name(text), None);
        }
    }
}
