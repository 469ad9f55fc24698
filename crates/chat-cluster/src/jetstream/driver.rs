//! The thread that runs a node.

mod entry;
mod joining;
mod links;
mod publishing;
mod snapshot;

use std::convert::Infallible;
use std::future::{Future, pending};
use std::time::Duration;
use std::{io, thread};

use async_nats::Client;
use async_nats::jetstream::consumer::pull::Stream as Entries;
use async_nats::jetstream::stream::Info;
use async_nats::jetstream::{Context, Message};
use futures::future::BoxFuture;
use tokio::runtime;
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval};

use super::connect::{Connection, stream_info};
use super::delivery::Delivery;
use super::reading::{self, Last, Opened, ReadTrouble};
use super::shared::Shared;
use super::{End, Settings, stream};
use crate::{Ended, Node, StreamInfo};

use self::links::Links;
use self::publishing::Publishing;

/// Runs a node from joining to its end.
pub(super) fn run(settings: Settings, shared: &Shared, out: mpsc::Sender<Delivery>) {
    let _guard = PanicGuard(shared);
    let built = runtime::Builder::new_current_thread().enable_all().build();
    let end = match built {
        Ok(runtime) => runtime.block_on(live(settings, shared, out)),
        Err(error) => End::Runtime(error),
    };
    shared.end(end);
}

async fn live(settings: Settings, shared: &Shared, out: mpsc::Sender<Delivery>) -> End {
    let lived = match joining::join(settings, shared, out).await {
        Ok(driver) => driver.run().await,
        Err(end) => Err(end),
    };
    match lived {
        Ok(never) => match never {},
        Err(end) => end,
    }
}

/// A node, and what is under way for it. Every future here keeps its place when the loop turns to
/// another.
struct Driver<'a> {
    settings: Settings,
    shared: &'a Shared,
    /// Kept, for the connection ends with it.
    _client: Client,
    context: Context,
    events: mpsc::Receiver<Connection>,
    out: mpsc::Sender<Delivery>,
    /// What the log has no room for yet. As long as there is one, nothing is read.
    pending: Option<Delivery>,
    entries: Option<Entries>,
    opening: Option<BoxFuture<'static, Result<Opened, ReadTrouble>>>,
    checking: Option<BoxFuture<'static, Result<Box<Info>, ReadTrouble>>>,
    /// The last entry that was known when the stream was asked.
    asked_after: u64,
    publishing: Publishing,
    links: Links,
    stream_id: u64,
    last: Option<Last>,
    /// How often the reading was begun anew since an entry came that was the next.
    gap_count: u32,
    /// How many entries were garbage when it was looked at last.
    garbage_count: u64,
    /// Whether heartbeats may have been missed because nothing was read.
    was_full: bool,
    /// Since when there is no stream.
    gone_since: Option<Instant>,
    /// Until when the node has to be serving; `None` when it is.
    join_deadline: Option<Instant>,
    health: Interval,
    snapshots: Interval,
}

/// What the loop turns to next.
enum Turn {
    /// A sender, or who has the member leave.
    Asked,
    Connection(Option<Connection>),
    Published(Result<u64, String>),
    Opened(Result<Opened, ReadTrouble>),
    Checked(Result<Box<Info>, ReadTrouble>),
    Entry(Result<Message, String>),
    Room,
    Dropped,
    Health,
    SnapshotDue,
}

/// Whether it is the stream that was read before.
enum Same {
    Yes,
    /// It may yet turn out to be.
    NotYet,
}

impl Driver<'_> {
    async fn run(mut self) -> Result<Infallible, End> {
        self.open(Duration::ZERO);
        loop {
            self.check_end()?;
            self.publish_next();
            let turn = self.next_turn().await;
            self.take(turn)?;
        }
    }

    async fn next_turn(&mut self) -> Turn {
        let has_room = self.pending.is_none();
        tokio::select! {
            () = self.shared.wake.notified() => Turn::Asked,
            event = self.events.recv() => Turn::Connection(event),
            published = in_place(&mut self.publishing.under_way) => Turn::Published(published),
            opened = in_place(&mut self.opening) => Turn::Opened(opened),
            checked = in_place(&mut self.checking) => Turn::Checked(checked),
            entry = reading::next(&mut self.entries), if has_room => Turn::Entry(entry),
            permit = self.out.reserve(), if !has_room => {
                if let (Ok(permit), Some(delivery)) = (permit, self.pending.take()) {
                    permit.send(delivery);
                }
                Turn::Room
            }
            () = self.out.closed() => Turn::Dropped,
            _ = self.health.tick() => Turn::Health,
            _ = self.snapshots.tick() => Turn::SnapshotDue,
        }
    }

    fn take(&mut self, turn: Turn) -> Result<(), End> {
        match turn {
            Turn::Asked => {}
            Turn::Connection(event) => self.take_connection(event)?,
            Turn::Published(published) => self.take_published(published),
            Turn::Opened(Ok(opened)) => match self.take_info(&opened.info)? {
                Same::Yes => self.entries = Some(opened.entries),
                Same::NotYet => self.open(RETRY_PAUSE),
            },
            Turn::Opened(Err(trouble)) => {
                self.take_read_trouble(trouble)?;
                self.open(RETRY_PAUSE);
            }
            Turn::Checked(Ok(info)) => {
                self.take_info(&info)?;
            }
            // It may have been asked while the stream was away, and be back by now.
            Turn::Checked(Err(trouble))
                if trouble.is_overtaken(self.asked_after, self.last_read()) => {}
            Turn::Checked(Err(trouble)) => self.take_read_trouble(trouble)?,
            Turn::Entry(entry) => self.take_entry(entry)?,
            Turn::Room => self.was_full = true,
            Turn::Dropped => return Err(End::Dropped),
            Turn::Health => {
                self.renew_after_garbage();
                self.look()?;
            }
            Turn::SnapshotDue => {
                if let Some(node) = &mut self.shared.lock().node {
                    node.renew_snapshot();
                }
            }
        }
        Ok(())
    }

    /// Fails when everything that was accepted has come back and nothing more is.
    fn check_end(&self) -> Result<(), End> {
        let inner = self.shared.lock();
        let is_drained = inner.node.as_ref().is_none_or(Node::is_drained);
        let is_over = inner.is_leaving && inner.promised == 0;
        match is_over && is_drained && self.pending.is_none() {
            true => Err(End::Left),
            false => Ok(()),
        }
    }

    /// Begins to read after the last entry.
    fn open(&mut self, pause: Duration) {
        self.entries = None;
        self.checking = None;
        let expected = self.shared.lock().node.as_ref().map_or(1, Node::expected);
        let (context, name) = (self.context.clone(), self.settings.stream.clone());
        let last = self.last;
        self.asked_after = self.last_known();
        self.opening = Some(Box::pin(async move {
            tokio::time::sleep(pause).await;
            reading::open(context, name, expected, last).await
        }));
    }

    /// Begins to read anew, as something was missing.
    fn reopen(&mut self) {
        self.shared.lock().figures.restarts += 1;
        self.open(Duration::ZERO);
    }

    /// Has a snapshot written after what others wrote to the stream: it may stand where one that joins
    /// looks for the newest snapshot.
    fn renew_after_garbage(&mut self) {
        if let Some(node) = &mut self.shared.lock().node {
            let count = node.counts().garbage;
            if std::mem::replace(&mut self.garbage_count, count) != count {
                node.renew_snapshot();
            }
        }
    }

    /// Asks how the stream is, while nothing else asks.
    fn look(&mut self) -> Result<(), End> {
        if self.entries.is_some() && self.checking.is_none() {
            let (context, name) = (self.context.clone(), self.settings.stream.clone());
            let looking = async move { reading::look(&context, &name).await };
            self.checking = Some(Box::pin(looking));
            self.asked_after = self.last_known();
        }
        self.check_deadline()
    }

    /// Takes what the stream says of itself, and tells whether it is the stream that was read.
    fn take_info(&mut self, info: &Info) -> Result<Same, End> {
        let refused = stream::check(&info.config, &self.settings).err();
        let info = stream_info(info);
        // A new leader may answer before it has applied all that the last one had committed.
        let same = by_now(info, self.asked_after, self.last_read());
        let Some(info) = same.filter(|info| info.id == self.stream_id) else {
            self.take_read_trouble(ReadTrouble::Lost)?;
            return Ok(Same::NotYet);
        };
        self.gone_since = None;
        let mut inner = self.shared.lock();
        inner.refused = refused;
        if let Some(node) = &mut inner.node {
            node.check(info)?;
            let read = node.expected() - 1;
            inner.figures.lag = info.last.saturating_sub(read);
        }
        drop(inner);
        self.links.reading = None;
        self.show_links();
        Ok(Same::Yes)
    }

    /// Returns the last sequence that is known to be in the stream.
    fn last_known(&self) -> u64 {
        self.last_read().max(self.publishing.acknowledged)
    }

    /// Returns the sequence of the entry that was read last.
    fn last_read(&self) -> u64 {
        self.last.map_or(0, |last| last.sequence)
    }

    fn take_read_trouble(&mut self, trouble: ReadTrouble) -> Result<(), End> {
        self.links.reading = Some(match trouble {
            ReadTrouble::Passing(why) => why,
            ReadTrouble::Lost => {
                // A server that comes up may know its streams, and all of them, later.
                let since = *self.gone_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= GONE_MAX {
                    return Err(Ended::StreamLost.into());
                }
                format!("the stream {} is not there as it was", self.settings.stream)
            }
        });
        self.show_links();
        self.check_deadline()
    }
}

/// Ends the member's life where the thread panics: nobody is to wait for it for ever.
struct PanicGuard<'a>(&'a Shared);

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let error = io::Error::other("the thread of the node has panicked");
            self.0.end(End::Runtime(error));
        }
    }
}

/// Returns what a stream says of itself, brought up to what was read while its answer was on its way.
/// `None` where it lacks an entry that was known when it was asked.
fn by_now(info: StreamInfo, asked_after: u64, read: u64) -> Option<StreamInfo> {
    let last = info.last.max(read);
    (info.last >= asked_after).then_some(StreamInfo { last, ..info })
}

/// Waits for a future that stays in its place until it is ready. For ever, where there is none.
async fn in_place<F: Future + Unpin>(place: &mut Option<F>) -> F::Output {
    let Some(future) = place else {
        return pending().await;
    };
    let output = future.await;
    *place = None;
    output
}

/// How long to wait before something that failed is tried again. Judgement.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// How long a stream may not be there before it is lost. Judgement.
const GONE_MAX: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_the_life() {
        let shared = Shared::default();
        let panicked = thread::scope(|scope| {
            let panicking = || {
                let _guard = PanicGuard(&shared);
                panic!("of a test");
            };
            scope.spawn(panicking).join()
        });
        assert!(panicked.is_err());
        assert!(shared.lock().state.end().is_some());
    }

    #[test]
    fn an_answer_that_was_overtaken_is_no_loss() {
        let info = |last| StreamInfo {
            id: 7,
            first: 1,
            last,
        };
        // Asked after entry 10, answered when there were 12, and taken when 20 were read.
        assert_eq!(by_now(info(12), 10, 20), Some(info(20)));
        assert_eq!(by_now(info(25), 10, 20), Some(info(25)));
        assert_eq!(by_now(info(9), 10, 20), None);
    }
}
