//! The events of a link.

use std::io;
use std::time::{Duration, Instant};

use chat_proto::{Body, Messages, Unfinished};

use crate::{Address, ConnectError, Echo};

/// An event of a [`Link`](crate::Link).
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// There is a connection, the first or another.
    Connected {
        /// Where the server is.
        address: &'a Address,
    },
    /// Messages arrived.
    Received(Received<'a>),
    /// Messages of one's own were lost: later ones came back, these did not.
    Lost {
        /// How many.
        count: u64,
    },
    /// One's own messages have been under way for long: the server is stuck, or it is no chat server.
    /// It is said once, until one comes back.
    Overdue {
        /// For how long the oldest has been under way.
        age: Duration,
    },
    /// The connection ended.
    Disconnected {
        /// Why.
        error: &'a LinkError,
        /// The bodies of one's own messages that had not come back, oldest first. Others may have
        /// received them.
        unreturned: Vec<Vec<u8>>,
        /// When the next try to connect is made; `None` when there is none.
        retry_in: Option<Duration>,
    },
    /// A try to connect failed.
    Failed {
        /// Why.
        error: &'a ConnectError,
        /// When the next is made.
        retry_in: Duration,
    },
}

/// Messages that arrived together.
///
/// Iterating yields each body, and with one's own messages how they came back.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    pub(super) messages: Messages<'a>,
    /// One's own among them, by their index, in order.
    pub(super) echoes: &'a [(usize, Echo)],
    pub(super) arrived: Instant,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The server closed it.
    #[error("the server closed the connection")]
    Closed,
    /// The server closed it inside a message.
    #[error("the server closed the connection: {0}")]
    Unfinished(Unfinished),
    /// It failed.
    #[error("{0}")]
    Io(#[source] io::Error),
    /// The client's user wanted another.
    #[error("as asked for")]
    Asked,
}

impl<'a> Received<'a> {
    /// Returns the messages as they were received.
    pub fn messages(&self) -> Messages<'a> {
        self.messages
    }

    /// Returns when they arrived.
    pub fn arrived(&self) -> Instant {
        self.arrived
    }

    /// Returns each body, and with one's own how it came back.
    pub fn iter(&self) -> impl Iterator<Item = (Body<'a>, Option<Echo>)> + use<'a> {
        let mut echoes = self.echoes.iter().peekable();
        let bodies = self.messages.into_iter().enumerate();
        bodies.map(move |(index, body)| {
            let echo = echoes.next_if(|&&(own, _)| own == index);
            (body, echo.map(|&(_, echo)| echo))
        })
    }
}

impl<'a> IntoIterator for &Received<'a> {
    type Item = (Body<'a>, Option<Echo>);
    type IntoIter = Box<dyn Iterator<Item = Self::Item> + 'a>;

    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.iter())
    }
}
