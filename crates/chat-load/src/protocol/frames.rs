//! Frames, one after the other.

use chat_trace::Arrived;

use super::{Content, Frame, Protocol, Refusal};

/// Goes through whole frames at the start of `bytes`: `len_max` bytes and what is left of the last,
/// or fewer. Returns how many they are, and adds to `answers` what is to be answered.
///
/// # Errors
///
/// When the first frame is a refusal. One behind others is found when those have been taken.
pub(crate) fn walk<P: Protocol>(
    protocol: &P,
    bytes: &[u8],
    len_max: usize,
    answers: &mut Vec<u8>,
) -> Result<usize, Refusal> {
    let mut len = 0;
    while len < len_max {
        let frame = match protocol.frame(&bytes[len..]) {
            Ok(Some(frame)) => frame,
            Err(refusal) if len == 0 => return Err(refusal),
            Ok(None) | Err(_) => break,
        };
        debug_assert!(frame.len > 0, "or nobody would get any further");
        len += frame.len;
        if let Content::Question(answer) = frame.content {
            answers.extend_from_slice(answer);
        }
    }
    Ok(len)
}

/// The bodies in frames that are whole.
#[derive(Clone, Debug)]
pub(crate) struct Frames<'a, P> {
    protocol: P,
    rest: &'a [u8],
}

impl<'a, P: Protocol> Frames<'a, P> {
    pub(crate) fn new(protocol: P, bytes: &'a [u8]) -> Self {
        Self {
            protocol,
            rest: bytes,
        }
    }
}

impl<'a, P: Protocol> Iterator for Frames<'a, P> {
    type Item = Arrived<'a>;

    fn next(&mut self) -> Option<Arrived<'a>> {
        loop {
            let Frame { len, content } = self.protocol.frame(self.rest).ok()??;
            self.rest = &self.rest[len..];
            if let Content::Body(body) = content {
                return Some(Arrived {
                    body,
                    message_len: len,
                });
            }
        }
    }
}
