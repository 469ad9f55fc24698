//! Messages on their way, and what the load tester sent them for.

/// A message to be forwarded.
#[derive(Clone, Copy)]
pub(crate) struct Message<'a> {
    pub(crate) sender: usize,
    /// What the load tester sent it for; `None` when it is somebody else's.
    pub(crate) kind: Option<u8>,
    /// How many load messages the sender had sent before.
    pub(crate) number: usize,
    pub(crate) body: &'a [u8],
}

impl Message<'_> {
    pub(crate) fn is_load(self) -> bool {
        self.kind == Some(LOAD)
    }

    pub(crate) fn held(self) -> Held {
        Held {
            sender: self.sender,
            body: self.body.to_vec(),
            had_by: None,
        }
    }
}

/// A message that is kept.
pub(crate) struct Held {
    pub(crate) sender: usize,
    pub(crate) body: Vec<u8>,
    /// A client that has received it nevertheless.
    pub(crate) had_by: Option<usize>,
}

/// Returns what the load tester sent a body for, if it is one of its own.
pub(crate) fn kind(body: &[u8]) -> Option<u8> {
    body.get(4..8).map(|field| field[3] >> 6)
}

/// Draws from a body, differently for each client, one of three.
pub(crate) fn is_unlucky(client: usize, body: &[u8]) -> bool {
    body.iter().fold(client, |sum, &byte| {
        sum.wrapping_mul(31).wrapping_add(byte.into())
    }) % 3
        == 0
}

/// What the load tester puts into the two highest bits of its tags, for three of its kinds of
/// message.
pub(crate) const HELLO: u8 = 0;
pub(crate) const LOAD: u8 = 1;
pub(crate) const CLOSING: u8 = 3;

/// Length in bytes of the load tester's tag, with which each of its bodies begins.
pub(crate) const TAG_LEN: usize = 8;
