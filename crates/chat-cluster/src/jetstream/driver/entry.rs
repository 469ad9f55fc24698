//! What a node makes of entries.

use async_nats::jetstream::Message;

use super::{Driver, End};
use crate::jetstream::State;
use crate::jetstream::delivery::Delivery;
use crate::jetstream::reading::Last;
use crate::{Ended, Read};

/// What a node made of an entry.
enum Taken {
    Deliver(Delivery),
    Serve,
    Nothing,
    /// There are others before it.
    Missing,
}

impl Driver<'_> {
    pub(super) fn take_entry(&mut self, entry: Result<Message, String>) -> Result<(), End> {
        let was_full = std::mem::take(&mut self.was_full);
        let message = match entry {
            Ok(message) => message,
            // Heartbeats that waited here are not missing.
            Err(_) if was_full => return Ok(()),
            Err(_) => {
                self.reopen();
                return Ok(());
            }
        };
        match self.read(&message)? {
            Taken::Missing if self.gap_count == GAP_COUNT_MAX => return Err(Ended::Missed.into()),
            Taken::Missing => {
                self.gap_count += 1;
                self.reopen();
                return Ok(());
            }
            Taken::Deliver(delivery) => {
                let is_own = delivery.own().is_some();
                self.pending = Some(delivery);
                if is_own {
                    self.shared.wake_first();
                }
            }
            Taken::Serve => {
                self.join_deadline = None;
                self.shared.set_state(State::Serving);
                self.show_links();
            }
            Taken::Nothing => {}
        }
        self.gap_count = 0;
        Ok(())
    }

    /// Has the node read an entry.
    fn read(&mut self, message: &Message) -> Result<Taken, End> {
        // What has no place in the stream is none of it.
        let Ok(info) = message.info() else {
            return Ok(Taken::Nothing);
        };
        let payload = &message.message.payload;
        let mut inner = self.shared.lock();
        let Some(node) = &mut inner.node else {
            return Ok(Taken::Nothing);
        };
        let taken = match node.read(info.stream_sequence, payload)? {
            Read::Deliver { messages, own } => {
                let len = messages.as_bytes().len();
                if own.is_some() {
                    inner.note_return(len);
                }
                Taken::Deliver(Delivery::new(payload.clone(), len, own))
            }
            Read::Serve => Taken::Serve,
            Read::Missing { .. } => return Ok(Taken::Missing),
            Read::Again => return Ok(Taken::Nothing),
            _ => Taken::Nothing,
        };
        inner.figures.lag = info.pending;
        self.last = Some(Last {
            sequence: info.stream_sequence,
            stored_at: info.published.unix_timestamp_nanos(),
        });
        Ok(taken)
    }
}

/// How often the reading may begin in vain after the last entry, until the next one is not there. Once
/// it may have gone with a connection.
const GAP_COUNT_MAX: u32 = 3;
