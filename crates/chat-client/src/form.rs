//! How a message is printed.

use std::time::SystemTime;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chat_proto::Body;
use serde_json::json;

use crate::escape::append_escaped;

/// The form in which messages are printed.
///
/// # Examples
///
/// ```
/// use std::time::SystemTime;
/// use chat_client::Form;
/// use chat_proto::Body;
///
/// let mut output = Vec::new();
/// let body = Body::new(b"\x1b[2J")?;
/// Form::Hex.append(body, SystemTime::UNIX_EPOCH, &mut output);
/// Form::Json.append(body, SystemTime::UNIX_EPOCH, &mut output);
/// assert_eq!(
///     String::from_utf8(output)?,
///     "1b5b324a\n\
///      {\"time\":\"1970-01-01T00:00:00.000Z\",\"length\":4,\"text\":\"\\u001b[2J\"}\n",
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// The bytes as they are, then a newline.
    #[default]
    Raw,
    /// The bytes as they are, then a byte of value 0.
    Null,
    /// Text that cannot control a terminal (see [`escape`](crate::escape)), then a newline.
    Escaped,
    /// Two hexadecimal digits for each byte, then a newline.
    Hex,
    /// An object of JSON on a line: `time` of arrival (RFC 3339), `length` in bytes, and `text`, or
    /// `base64` for bytes that are not UTF-8.
    Json,
}

impl Form {
    /// Adds a message that arrived at a time.
    pub fn append(self, body: Body<'_>, arrived: SystemTime, output: &mut Vec<u8>) {
        let bytes = body.as_bytes();
        match self {
            Self::Raw | Self::Null => output.extend_from_slice(bytes),
            Self::Escaped => {
                let mut text = String::new();
                append_escaped(bytes, &mut text);
                output.extend_from_slice(text.as_bytes());
            }
            Self::Hex => output.extend(bytes.iter().flat_map(|&byte| hex(byte))),
            Self::Json => append_json(bytes, arrived, output),
        }
        output.push(if self == Self::Null { 0 } else { b'\n' });
    }
}

fn hex(byte: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [
        DIGITS[usize::from(byte >> 4)],
        DIGITS[usize::from(byte & 15)],
    ]
}

fn append_json(bytes: &[u8], arrived: SystemTime, output: &mut Vec<u8>) {
    let time = humantime::format_rfc3339_millis(arrived).to_string();
    let (name, value) = match std::str::from_utf8(bytes) {
        Ok(text) => ("text", json!(text)),
        Err(_) => ("base64", json!(BASE64_STANDARD.encode(bytes))),
    };
    let length = bytes.len();
    // Written piece by piece, since a map of the library would sort the names.
    let object = format!("{{\"time\":\"{time}\",\"length\":{length},\"{name}\":{value}}}");
    output.extend_from_slice(object.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(form: Form, body: &[u8], expected: &[u8]) {
        let mut output = b"before".to_vec();
        let at = SystemTime::UNIX_EPOCH;
        form.append(Body::new(body).unwrap(), at, &mut output);
        assert_eq!(output, [b"before", expected].concat());
    }

    #[test]
    fn each_form_has_its_end() {
        check(Form::Raw, b"\x1b\n\xff", b"\x1b\n\xff\n");
        check(Form::Null, b"a\nb", b"a\nb\0");
        check(Form::Escaped, b"\x1b\n\xff", b"\\x1b\\n\\xff\n");
        check(Form::Hex, b"\x00\xff\x1b", b"00ff1b\n");
        check(Form::Hex, b"", b"\n");
    }

    #[test]
    fn json_is_text_or_base64() {
        let time = "{\"time\":\"1970-01-01T00:00:00.000Z\",";
        let text = format!("{time}\"length\":5,\"text\":\"a\\\"ü\\n\"}}\n");
        check(Form::Json, "a\"ü\n".as_bytes(), text.as_bytes());
        let base64 = format!("{time}\"length\":2,\"base64\":\"//4=\"}}\n");
        check(Form::Json, b"\xff\xfe", base64.as_bytes());
    }
}
