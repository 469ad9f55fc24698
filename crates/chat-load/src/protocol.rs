//! How bodies travel.

mod frames;
mod mqtt;
mod nats;
mod redis;
mod text;

#[cfg(test)]
mod tests;

use chat_proto::HEADER_LEN;

pub(crate) use self::frames::{Frames, walk};
pub use self::mqtt::Mqtt;
pub use self::nats::Nats;
pub use self::redis::Redis;

/// How bodies travel between a client and a server: what a client says first, and how messages
/// stand in the bytes of a stream.
///
/// The load sends bodies and is given bodies; all else is here. It is asked for every message that
/// is sent or arrives, so it should cost next to nothing.
pub trait Protocol {
    /// Whether a message arrives in the bytes in which it was sent. What was sent recently is then
    /// compared with what arrives, without another copy of it.
    const ARRIVES_AS_SENT: bool;

    /// Whether a client that ends its sending side still gets all that the server owes to it, and
    /// then the end of the stream. Where it does not, clients leave without that.
    const OUTLASTS_HALF_CLOSE: bool;

    /// Adds what a client says as soon as it is connected, such as that it subscribes.
    fn open(&self, wire: &mut Vec<u8>);

    /// Adds the message that a client sends with this body, of up to 255 bytes.
    fn encode(&self, body: &[u8], wire: &mut Vec<u8>);

    /// Adds the message that clients receive with this body. By default it is the one that was sent.
    fn encode_arrival(&self, body: &[u8], wire: &mut Vec<u8>) {
        self.encode(body, wire);
    }

    /// Returns the first frame of what has arrived, or `None` if it is not there as a whole. It then
    /// comes again with more behind it.
    ///
    /// # Errors
    ///
    /// When the server says that it will not serve the client, and when no frame begins like that.
    fn frame<'a>(&self, bytes: &'a [u8]) -> Result<Option<Frame<'a>>, Refusal>;
}

/// A frame that has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// How many bytes it has. At least one.
    pub len: usize,
    /// What it is.
    pub content: Content<'a>,
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// A message with this body.
    Body(&'a [u8]),
    /// A question, with what the client is to answer.
    Question(&'static [u8]),
    /// Something that needs no answer.
    Notice,
}

/// Why a connection is of no more use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The server says so.
    #[error("the server answered with an error: {0}")]
    Told(String),
    /// The server sent something else than a frame.
    #[error(
        "the server sent something that is no {protocol}: {expected} was expected; does it speak another protocol?"
    )]
    Garbage {
        /// The name of the protocol.
        protocol: &'static str,
        /// What a right server sends there.
        expected: &'static str,
    },
}

/// The protocol of the chat: a header with the length of the body, and the body. Whoever is
/// connected takes part.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chat;

impl Protocol for Chat {
    const ARRIVES_AS_SENT: bool = true;

    const OUTLASTS_HALF_CLOSE: bool = true;

    fn open(&self, _wire: &mut Vec<u8>) {}

    fn encode(&self, body: &[u8], wire: &mut Vec<u8>) {
        let header = u8::try_from(body.len()).expect("a body has up to 255 bytes");
        wire.push(header);
        wire.extend_from_slice(body);
    }

    fn frame<'a>(&self, bytes: &'a [u8]) -> Result<Option<Frame<'a>>, Refusal> {
        let Some((&header, rest)) = bytes.split_first() else {
            return Ok(None);
        };
        Ok(rest.get(..usize::from(header)).map(|body| Frame {
            len: HEADER_LEN + body.len(),
            content: Content::Body(body),
        }))
    }
}

/// What the others call the one thing that all clients subscribe to: a subject, a channel, a topic.
const SUBJECT: &[u8] = b"chat";
