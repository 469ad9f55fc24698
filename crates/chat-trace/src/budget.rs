//! How much memory a repetition takes.

use chat_check::MESSAGE_COUNT_MAX;
use chat_results::Check;

use crate::sends::BURST_LEN;
use crate::topology::Topology;

/// Returns how many bytes messages take that are sent in so many bursts, once every client that
/// stays has received them.
pub fn memory_len(topology: Topology, check: Check, message_count: u64, burst_count: u64) -> u64 {
    let event_count = if check == Check::Full {
        1 + topology.readers().len() as u64
    } else {
        0
    };
    message_count * event_count * EVENT_LEN + burst_count * BURST_LEN as u64
}

/// How many bytes a repetition takes at most to tell what was sent and received. A judgement: what
/// most machines have to spare. The check of them takes less than that again; where much was
/// dropped, up to twice as much.
///
/// It decides when the load ends. What is sent after that, to find out what became of it, comes on
/// top.
pub const MEMORY_MAX: u64 = 2 << 30;

/// How many load messages a repetition can have: half of what records can number, the rest being
/// for hello, probe and closing messages.
pub const LOAD_MAX: u32 = MESSAGE_COUNT_MAX / 2;

/// Length in bytes of a send or a delivery.
///
/// Source: [`Record`](chat_check::Record).
pub(crate) const EVENT_LEN: u64 = 4;
