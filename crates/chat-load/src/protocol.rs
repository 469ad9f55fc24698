//! How bodies travel.

use chat_proto::{HEADER_LEN, Messages};
use chat_trace::Arrived;

/// How bodies travel between a client and a server: what a client says first, and how messages
/// stand in the bytes of a stream.
///
/// The load sends bodies and is given bodies; all else is here. It is asked for every burst and for
/// all that arrives, so it should cost next to nothing.
pub trait Protocol {
    /// The bodies of messages that have arrived.
    type Bodies<'a>: Iterator<Item = Arrived<'a>> + Clone;

    /// Whether a message arrives in the bytes in which it was sent. What was sent recently is then
    /// compared with what arrives, without another copy of it.
    const ARRIVES_AS_SENT: bool;

    /// Adds what a client says as soon as it is connected, such as that it subscribes.
    fn open(&self, wire: &mut Vec<u8>);

    /// Adds the message that a client sends with this body, of up to 255 bytes.
    fn encode(&self, body: &[u8], wire: &mut Vec<u8>);

    /// Adds the message that clients receive with this body. By default it is the one that was sent.
    fn encode_arrival(&self, body: &[u8], wire: &mut Vec<u8>) {
        self.encode(body, wire);
    }

    /// Splits the whole messages off what has arrived, and returns how many bytes they have. What
    /// follows them is the beginning of a message, and comes again with more behind it.
    fn split<'a>(&self, bytes: &'a [u8]) -> (Self::Bodies<'a>, usize);

    /// Returns where the body of the first message begins, whether it is there as a whole or not.
    fn first_body<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]>;
}

/// The protocol of the chat: a header with the length of the body, and the body. Whoever is
/// connected takes part.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chat;

impl Protocol for Chat {
    type Bodies<'a> = ChatBodies<'a>;

    const ARRIVES_AS_SENT: bool = true;

    fn open(&self, _wire: &mut Vec<u8>) {}

    fn encode(&self, body: &[u8], wire: &mut Vec<u8>) {
        let header = u8::try_from(body.len()).expect("a body has up to 255 bytes");
        wire.push(header);
        wire.extend_from_slice(body);
    }

    fn split<'a>(&self, bytes: &'a [u8]) -> (ChatBodies<'a>, usize) {
        let (messages, _) = Messages::split(bytes);
        let bodies = messages.iter();
        (ChatBodies { bodies }, messages.as_bytes().len())
    }

    fn first_body<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        bytes.get(HEADER_LEN..)
    }
}

/// The bodies of messages of the [`Chat`].
#[derive(Clone, Debug)]
pub struct ChatBodies<'a> {
    bodies: chat_proto::Bodies<'a>,
}

impl<'a> Iterator for ChatBodies<'a> {
    type Item = Arrived<'a>;

    fn next(&mut self) -> Option<Arrived<'a>> {
        let body = self.bodies.next()?;
        Some(Arrived {
            body: body.as_bytes(),
            message_len: body.encoded_len(),
        })
    }
}
