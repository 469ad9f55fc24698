//! Bodies that tell which message they are, and have the content that they should have.

use chat_check::MessageId;

/// Makes and reads the bodies of one crowd.
///
/// | crowd: u64 | message: u32 | filler |, little-endian. The filler follows from the rest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bodies {
    pub(crate) crowd: u64,
}

/// What a received body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// A message as it was sent.
    Message(MessageId),
    /// A message with another content.
    Corrupt(MessageId),
    /// None that anybody sent.
    Phantom,
}

impl Bodies {
    /// Makes the body of a message.
    pub(crate) fn body(self, message: u32) -> Vec<u8> {
        let mut body = self.crowd.to_le_bytes().to_vec();
        body.extend_from_slice(&message.to_le_bytes());
        let mut rng = fastrand::Rng::with_seed(self.crowd ^ (u64::from(message) << 20));
        let len = STAMP_LEN + rng.usize(..FILLER_LEN);
        body.resize_with(len, || rng.u8(..));
        body
    }

    /// Reads a body. Fewer than `sent` messages have been sent.
    pub(crate) fn read(self, body: &[u8], sent: u32) -> Read {
        let stamp = body.split_first_chunk().and_then(|(crowd, rest)| {
            let (message, _) = rest.split_first_chunk()?;
            Some((u64::from_le_bytes(*crowd), u32::from_le_bytes(*message)))
        });
        match stamp {
            Some((crowd, message)) if crowd == self.crowd && message < sent => {
                match MessageId::new(message) {
                    Ok(id) if self.body(message) == body => Read::Message(id),
                    Ok(id) => Read::Corrupt(id),
                    Err(_) => Read::Phantom,
                }
            }
            _ => Read::Phantom,
        }
    }
}

/// Length in bytes of what tells the message.
const STAMP_LEN: usize = 12;

/// How many bytes of filler there are at most.
const FILLER_LEN: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_read_back_and_any_change_is_seen() {
        let bodies = Bodies { crowd: 7 };
        let body = bodies.body(3);
        let id = MessageId::new(3).unwrap();
        assert_eq!(bodies.read(&body, 4), Read::Message(id));
        assert_eq!(bodies.read(&body, 3), Read::Phantom);
        assert_eq!(bodies.read(b"short", 4), Read::Phantom);
        for place in 0..body.len() {
            let mut changed = body.clone();
            changed[place] ^= 1;
            assert_ne!(bodies.read(&changed, 4), Read::Message(id), "byte {place}");
        }
    }
}
