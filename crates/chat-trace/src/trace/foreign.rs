//! What arrives and is none of this repetition's messages.

use super::{Arrival, Payloads, Reading, Strange, Strangers, Tag, Trace};
use crate::excerpt::Excerpt;
use crate::history::Misplaced;

impl Trace {
    /// Takes a message whose tag was never used in this repetition.
    pub(super) fn receive_unsent(&mut self, client: usize, tag: Tag, body: &[u8]) -> Arrival {
        let Some(age) = self.age(tag) else {
            return self.unknown(client, Strange::Unsent(tag, Excerpt::of(body)), body);
        };
        if self.receivers.has_begun(client) {
            return self.strange(client, Strange::Replayed(tag, Misplaced::Late));
        }
        match self.history.receive(client, tag, age) {
            Ok(()) => Arrival::Earlier,
            Err(misplaced) => self.strange(client, Strange::Replayed(tag, misplaced)),
        }
    }

    /// Returns how many repetitions ago a message was sent, if it was in an earlier one of this run.
    fn age(&self, tag: Tag) -> Option<u16> {
        let age = self.sent().run().wrapping_sub(tag.run);
        (1..=self.evidence.iteration())
            .contains(&age)
            .then_some(age)
    }

    /// Notes a message that nobody sent, unless strangers may have: but not if it has messages of
    /// ours inside, which tell that the server has lost the boundaries between messages.
    pub(super) fn unknown(&mut self, client: usize, strange: Strange, body: &[u8]) -> Arrival {
        let inside = if self.strangers == Strangers::None {
            None
        } else {
            self.own_inside(body)
        };
        self.strange(client, inside.map_or(strange, Strange::Inside))
    }

    /// Finds a message of this repetition, or the beginning of one, inside a body.
    fn own_inside(&self, body: &[u8]) -> Option<Tag> {
        (0..body.len()).find_map(|start| {
            let (&header, rest) = body[start..].split_first()?;
            let message = rest.get(..usize::from(header)).unwrap_or(rest);
            let Reading::Intact(tag) = Payloads::tag(message) else {
                return None;
            };
            let is_own = tag.run == self.sent().run()
                && self.find(usize::from(tag.client), tag).is_some()
                && self.payloads.begins(tag, message, header);
            is_own.then_some(tag)
        })
    }
}
