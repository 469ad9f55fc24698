//! A batch of messages to be written.

use std::fmt;

use bytes::Bytes;
use chat_proto::Messages;

use crate::Subscriber;
use crate::log::Stretch;

/// Whole messages that a subscriber has not consumed yet, in their wire form: at most 256 KiB and a
/// segment of 64, in at most 64 chunks.
///
/// It shares the log's memory and keeps it from being used again, and publishers wait for it; so do
/// not hold it across a wait. A batch that is dropped was not consumed: its messages are in the
/// next one.
#[must_use = "a batch that is dropped was not consumed"]
pub struct Batch<'a> {
    /// None when the batch was given back for the next one.
    subscriber: Option<&'a mut Subscriber>,
    stretch: Stretch,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(subscriber: &'a mut Subscriber, stretch: Stretch) -> Self {
        let subscriber = Some(subscriber);
        Self {
            subscriber,
            stretch,
        }
    }

    /// Says that everything has been written, and waits for the next batch; `None` is the end.
    ///
    /// Publishers wait for the subscriber all the time, so a loop that takes each batch from the
    /// one before loses nothing to its thread's scheduling.
    ///
    /// # Examples
    ///
    /// ```
    /// use chat_hub::Hub;
    /// use chat_proto::Messages;
    ///
    /// # futures::executor::block_on(async {
    /// let hub = Hub::default();
    /// let mut subscriber = hub.subscribe();
    /// let (mut messages, _) = Messages::split(b"\x05hello\x05world");
    /// hub.publisher().publish(&mut messages).await.unwrap();
    /// hub.close();
    ///
    /// let mut next = subscriber.next_batch().await;
    /// while let Some(batch) = next {
    ///     assert_eq!(batch.count(), 2);
    ///     next = batch.next().await;
    /// }
    /// # });
    /// ```
    pub async fn next(mut self) -> Option<Self> {
        let subscriber = self.take();
        drop(self);
        subscriber.wait().await
    }

    /// Waits for the next batch as [`next`](Self::next) does; the thread is parked while it waits.
    /// Not for async tasks.
    pub fn next_blocking(mut self) -> Option<Self> {
        let subscriber = self.take();
        drop(self);
        subscriber.next_batch_blocking()
    }

    /// Iterates over the bytes, in order, as stretches of contiguous memory. Each is whole messages
    /// and none is empty.
    pub fn chunks(&self) -> impl ExactSizeIterator<Item = &[u8]> + use<'_> {
        self.stretch.chunks().map(|bytes| &bytes[..])
    }

    /// Iterates over the chunks as shared memory, for writes that own what they write. Takes no
    /// copy. Memory that is held is not used again, and counts in the log's capacity no more.
    pub fn shared_chunks(&self) -> impl ExactSizeIterator<Item = Bytes> + use<'_> {
        self.stretch.chunks().cloned()
    }

    /// Iterates over the chunks as runs of messages. Scans nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use chat_hub::Hub;
    /// use chat_proto::{Body, Messages};
    ///
    /// let hub = Hub::default();
    /// let mut subscriber = hub.subscribe();
    /// let (mut messages, _) = Messages::split(b"\x05hello\x05world");
    /// hub.publisher().try_publish(&mut messages).unwrap();
    /// let batch = subscriber.try_next_batch().unwrap();
    /// let bodies: Vec<&[u8]> = batch.messages().flatten().map(Body::as_bytes).collect();
    /// assert_eq!(bodies, [b"hello", b"world"]);
    /// ```
    pub fn messages(&self) -> impl ExactSizeIterator<Item = Messages<'_>> + use<'_> {
        self.stretch.messages()
    }

    /// Returns the length in bytes. It is never 0.
    #[expect(clippy::len_without_is_empty, reason = "a batch is never empty")]
    pub fn len(&self) -> usize {
        self.stretch.byte_len()
    }

    /// Returns how many messages there are. Takes constant time.
    pub fn count(&self) -> u64 {
        self.stretch.message_count()
    }

    /// Returns how many messages the subscriber lost right before this batch. No batch follows the
    /// messages that it lost before its end; [`Subscriber::dropped`] counts those too.
    pub fn dropped(&self) -> u64 {
        let subscriber = self.subscriber.as_ref();
        subscriber.map_or(0, |subscriber| subscriber.dropped_since())
    }

    /// Says that everything has been written.
    pub fn consume_all(mut self) {
        self.take().pause();
    }

    /// Says that the first `len` bytes have been written, and returns what the writer still owes:
    /// the rest of the message that `len` falls into, at most 255 bytes. The next batch begins
    /// after it.
    ///
    /// Allocates only when something is owed.
    ///
    /// # Panics
    ///
    /// When the batch is shorter than `len`.
    #[must_use = "the stream has the beginning of a message and is owed the rest of it"]
    pub fn consume(mut self, len: usize) -> Vec<u8> {
        let byte_len = self.stretch.byte_len();
        assert!(
            len <= byte_len,
            "consumed {len} bytes of a batch of {byte_len}"
        );
        let subscriber = self.subscriber.take().expect(TAKEN_ONCE);
        let owed = subscriber.consume(&self.stretch, len).to_vec();
        subscriber.pause();
        owed
    }

    /// Consumes everything and returns the subscriber, which still counts as reading.
    fn take(&mut self) -> &'a mut Subscriber {
        let subscriber = self.subscriber.take().expect(TAKEN_ONCE);
        subscriber.consume(&self.stretch, self.stretch.byte_len());
        subscriber
    }
}

impl fmt::Debug for Batch<'_> {
    /// Prints no messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("len", &self.len())
            .field("count", &self.count())
            .field("dropped", &self.dropped())
            .finish_non_exhaustive()
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        if let Some(subscriber) = &mut self.subscriber {
            subscriber.pause();
        }
    }
}

const TAKEN_ONCE: &str = "a batch is given back once";
