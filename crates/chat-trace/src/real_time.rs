//! Real-time order, which is more than the specification asks for.

use crate::evidence::Evidence;
use crate::sent_log::u16_of;

impl Evidence {
    /// Counts the messages that the client with the most deliveries received behind one that was
    /// sent only after they had arrived somewhere. Where it lost nothing, its list is the order
    /// of all messages.
    pub(crate) fn overtaken(&self) -> u64 {
        let Some(record) = self
            .records()
            .iter()
            .max_by_key(|record| record.delivery_count())
        else {
            return 0;
        };
        let mut senders = vec![0; self.sent().message_count() as usize];
        for (sender, sends) in self.sent().all().iter().enumerate() {
            for burst in sends.bursts() {
                senders[burst.first_id as usize..burst.end_id() as usize].fill(u16_of(sender));
            }
        }
        // Each sender's messages were received in the order in which they were sent, so its bursts
        // are passed once.
        let mut places = vec![0; self.sent().all().len()];
        let mut last_sent = 0;
        let mut count = 0;
        for message in record.received_messages() {
            let sender = usize::from(senders[message.index() as usize]);
            let (bursts, place) = (self.sent().of(sender).bursts(), &mut places[sender]);
            *place += bursts[*place..]
                .iter()
                .take_while(|burst| burst.end_id() <= message.index())
                .count();
            let burst = &bursts[*place];
            count += u64::from(
                burst
                    .first_arrival()
                    .is_some_and(|arrival| arrival < last_sent),
            );
            last_sent = last_sent.max(burst.sent);
        }
        count
    }
}
