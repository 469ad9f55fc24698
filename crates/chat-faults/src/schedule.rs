//! What happens in a room.

use std::num::NonZeroU64;
use std::time::Duration;

use chat_toxic::{End, Plan};

use crate::body::Bodies;
use crate::draw::PACKET_LEN;

/// What happens in one room.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// The seed it was drawn from.
    pub seed: u64,
    /// What the server is told besides the address.
    pub server_args: Vec<String>,
    /// Whether the server may close a client that does not keep up.
    pub may_disconnect: bool,
    /// Whether the server may drop nothing at all.
    pub is_lossless: bool,
    /// Whether other rooms are on the same server, whose messages come, too.
    pub is_shared: bool,
    /// Who takes part. The first is the witness: it joins before all others, reads all the time and
    /// leaves last.
    pub members: Vec<Member>,
    /// What happens to the server meanwhile.
    pub event: Option<Event>,
    /// How long everything may take. Nothing comes near it unless it hangs.
    pub time_max: Duration,
}

/// Something that happens to the server itself, after so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It does not run for a time.
    Stop {
        /// When that begins.
        after: Duration,
        /// How long it lasts.
        time: Duration,
    },
    /// It is told to end.
    Terminate {
        /// When.
        after: Duration,
    },
}

/// What one client does.
#[derive(Clone, Debug)]
pub struct Member {
    /// When it joins.
    pub joins_after: Duration,
    /// How many messages it sends.
    pub send_count: u32,
    /// How many it sends at a time.
    pub burst_len: u32,
    /// How long it waits after each burst, at most.
    pub pause: Duration,
    /// Whether it waits for something to arrive after each burst, so that the next is an answer.
    pub is_answering: bool,
    /// How many messages without a body it sends, before all others.
    pub empty_count: u32,
    /// When it reads.
    pub reading: Reading,
    /// How it leaves.
    pub leave: Leave,
    /// How long it stays.
    pub stay: Stay,
    /// The length of its receive buffer, if it is not the system's.
    pub recv_buf_len: Option<usize>,
    /// What is done to its connection, if it does not go straight to the server.
    pub plan: Option<Plan>,
}

/// When a client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// All the time.
    Always,
    /// Not before this time is over.
    After(Duration),
    /// Never.
    Never,
}

/// How long a client stays when it has sent everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stay {
    /// It leaves at once.
    No,
    /// It leaves when all but the witness have sent everything.
    UntilAllSent,
    /// It sends its last message and leaves when all others are gone, so that it receives whatever
    /// one of them did. Only the witness does.
    UntilAllGone,
}

/// How a client leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// It ends its sending side and reads to the end.
    HalfClose,
    /// The same, after so many bytes of a message that it does not finish.
    Inside(usize),
    /// It closes the connection and reads no more.
    Close,
    /// It resets the connection.
    Reset,
}

impl Schedule {
    /// Adds so many clients that flood.
    #[must_use]
    pub fn with_floods(mut self, count: usize) -> Self {
        self.members.extend((0..count).map(|_| Member::flooder()));
        self
    }

    /// Has the room share a server with others: nothing is promised of losses then, nothing happens
    /// to the server, and nobody takes less than `rate_min` bytes in a second, since there is more
    /// to take than this room sends.
    #[must_use]
    pub fn on_shared_server(mut self, rate_min: NonZeroU64) -> Self {
        self.is_shared = true;
        self.is_lossless = false;
        self.may_disconnect = false;
        self.event = None;
        self.time_max = SHARED_TIME_MAX;
        for plan in self
            .members
            .iter_mut()
            .filter_map(|member| member.plan.as_mut())
        {
            let rate = &mut plan.to_client.rate;
            *rate = rate.map(|rate| rate.max(rate_min));
            plan.to_client.slices = plan.to_client.slices.take().map(|_| 1..=PACKET_LEN);
        }
        self
    }

    /// Returns about how many bytes the room's messages have.
    pub fn sent_len(&self) -> u64 {
        let counts = self.members.iter().map(|member| member.send_count);
        counts.map(u64::from).sum::<u64>() * MESSAGE_LEN_MEAN
    }

    /// Returns the room's bodies.
    pub(crate) fn bodies(&self) -> Bodies {
        let counts = self.members.iter().map(|member| member.send_count);
        // The low half of a seed tells the rooms of one server apart.
        #[expect(clippy::cast_possible_truncation, reason = "the low bits are meant")]
        let room = ROOM ^ (self.seed as u32 & 0xffff);
        Bodies::new(room, counts)
    }
}

impl Member {
    /// Tells whether the connection ends only as the client and the server end it.
    pub fn is_whole(&self) -> bool {
        let is_endless = self.plan.as_ref().is_none_or(|plan| {
            [&plan.to_server, &plan.to_client].map(|toxics| toxics.end) == [End::Never; 2]
        });
        is_endless && matches!(self.leave, Leave::HalfClose | Leave::Inside(_))
    }
}

/// How many bytes a message has on average: half the short ones, and some of the longest.
pub(crate) const MESSAGE_LEN_MEAN: u64 = 43;

/// The high half tells the bodies of rooms from others.
const ROOM: u32 = 0xc0ff_0000;

/// What the bodies of those begin with who belong to no room, and share a server with some. Ten bytes at
/// least are a body then.
pub const STRANGER: [u8; 4] = (ROOM | 0xffff).to_le_bytes();

/// How long everything may take on a shared server, which has the floods of others to deliver.
const SHARED_TIME_MAX: Duration = Duration::from_secs(180);
