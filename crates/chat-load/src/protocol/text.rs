//! What protocols in lines of text have in common.

use super::Refusal;

/// Returns the line at the start of `bytes`, without its end, and its length with that. `None` if its
/// end is not there.
///
/// # Errors
///
/// `garbage`, when a line feed stands alone, and when a line is longer than any.
pub(super) fn line(
    bytes: &[u8],
    garbage: impl Fn() -> Refusal,
) -> Result<Option<(&[u8], usize)>, Refusal> {
    let looked_at = &bytes[..bytes.len().min(LINE_LEN_MAX)];
    let Some(end) = looked_at.iter().position(|&byte| byte == b'\n') else {
        let is_too_long = looked_at.len() == LINE_LEN_MAX;
        return if is_too_long {
            Err(garbage())
        } else {
            Ok(None)
        };
    };
    let line = looked_at[..end].strip_suffix(b"\r").ok_or_else(garbage)?;
    Ok(Some((line, end + 1)))
}

/// Returns the `len` bytes at the start of `bytes` if they and a line's end are there, and the
/// length of both.
///
/// # Errors
///
/// `garbage`, when something else follows than a line's end.
pub(super) fn block(
    bytes: &[u8],
    len: usize,
    garbage: impl Fn() -> Refusal,
) -> Result<Option<(&[u8], usize)>, Refusal> {
    let whole_len = len + LINE_END.len();
    let Some(whole) = bytes.get(..whole_len) else {
        return Ok(None);
    };
    let block = whole.strip_suffix(LINE_END).ok_or_else(garbage)?;
    Ok(Some((block, whole_len)))
}

/// Reads a decimal number of up to [`LEN_MAX`]. There is no sign.
pub(super) fn decimal(digits: &[u8]) -> Option<usize> {
    let is_decimal = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    if !is_decimal || digits.len() > LEN_DIGITS_MAX {
        return None;
    }
    let number = digits
        .iter()
        .fold(0, |number, digit| 10 * number + usize::from(digit - b'0'));
    Some(number).filter(|&number| number <= LEN_MAX)
}

/// Adds a number.
pub(super) fn push_decimal(mut number: usize, wire: &mut Vec<u8>) {
    let start = wire.len();
    loop {
        wire.push(b"0123456789"[number % 10]);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    wire[start..].reverse();
}

/// Returns what a server said, for people.
pub(super) fn printable(said: &[u8]) -> String {
    let said = &said[..said.len().min(SAID_LEN_MAX)];
    said.escape_ascii().to_string().replace("\\'", "'")
}

pub(super) const LINE_END: &[u8] = b"\r\n";

/// Length of a line in bytes that none reaches. A judgement: the longest that servers send is about
/// themselves, some hundred bytes, or some thousand in a large cluster.
const LINE_LEN_MAX: usize = 32 << 10;

/// How long something may be that is announced with its length, in bytes or elements. A judgement:
/// bodies have up to 255 bytes, and all must fit into what is read at once.
pub(super) const LEN_MAX: usize = 64 << 10;

/// How many digits such a length has at most, zeros in front included.
const LEN_DIGITS_MAX: usize = 9;

/// How much is told of what a server said, in bytes.
const SAID_LEN_MAX: usize = 200;
