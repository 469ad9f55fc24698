//! Watching one subscriber from elsewhere.

use std::fmt;

use crate::shared::Shared;
use crate::sync::Arc;

/// Tells from elsewhere how a subscriber is doing, while a task or a thread reads it.
///
/// A server needs it to find the clients that are slow. It costs the subscriber nothing: the hub is
/// asked. Made by [`Subscriber::monitor`](crate::Subscriber::monitor).
#[derive(Clone)]
pub struct Monitor {
    shared: Arc<Shared>,
    key: usize,
    id: u64,
}

impl Monitor {
    pub(crate) fn new(shared: Arc<Shared>, key: usize, id: u64) -> Self {
        Self { shared, key, id }
    }

    /// Counts what the subscriber had done at its last call; `None` when it is gone. Takes a short
    /// lock.
    ///
    /// # Examples
    ///
    /// ```
    /// use chat_hub::Hub;
    /// use chat_proto::Messages;
    ///
    /// # futures::executor::block_on(async {
    /// let hub = Hub::default();
    /// let subscriber = hub.subscribe();
    /// let monitor = subscriber.monitor();
    /// let (mut messages, _) = Messages::split(b"\x05hello");
    /// hub.publisher().publish(&mut messages).await.unwrap();
    /// assert_eq!(monitor.stats().unwrap().lag, 6);
    ///
    /// drop(subscriber);
    /// assert_eq!(monitor.stats(), None);
    /// # });
    /// ```
    pub fn stats(&self) -> Option<SubscriberStats> {
        let (key, id) = (self.key, self.id);
        self.shared.with_state(|state| state.stats_of(key, id))
    }
}

impl fmt::Debug for Monitor {
    /// Takes no lock.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// The figures of a subscriber so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubscriberStats {
    /// How many messages it has consumed.
    pub delivered: u64,
    /// How many messages it has skipped. They are counted in [`Stats::dropped`](crate::Stats::dropped).
    pub dropped: u64,
    /// How many messages it has lost: those that it has skipped, and those that its next read is
    /// going to skip.
    pub lost: u64,
    /// How many bytes there are for it to read, or would be if the log still had them.
    pub lag: u64,
    /// Whether it did not keep up and has not caught up since.
    pub is_laggard: bool,
    /// Whether its stream took nothing when it was last tried.
    pub is_stalled: bool,
}
