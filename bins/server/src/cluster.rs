//! One room with other servers: what clients send goes to a stream, and what the stream says goes to
//! the hub.
//!
//! A thread of its own runs the node. Sessions put messages in its outbox, and a task appends what
//! comes back, of all nodes, to the hub: nothing else does.

mod ends;
mod publisher;
mod watching;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_executor::Task;
use async_std::future::timeout;
use chat_cluster::jetstream::{
    BATCH_LEN_BOUNDS, Deliveries, Delivery, End, Figures, Member, ROUND_TRIP_BOUNDS, State, join,
};
use chat_cluster::{Ended, NodeId};
use chat_hub::{Closed, Hub, Position, Publisher as HubPublisher};
use futures::executor::block_on;

use crate::args::{ClusterArgs, ClusterArgsError};
use crate::inside::ClusterState;
use crate::runtime;

use self::ends::Ends;
pub(crate) use self::publisher::Publisher;

/// This server's part in a cluster. It is shared by its clones.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    node: NodeId,
    member: Member,
    ends: Ends,
    /// Before all messages.
    start: Position,
}

/// Appends to the hub what comes from the stream.
pub(crate) type Appending = Task<()>;

/// Why there is no cluster.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClusterError {
    #[error(transparent)]
    Args(#[from] ClusterArgsError),
    #[error("cannot start the thread of the cluster: {0}")]
    Thread(#[from] io::Error),
    #[error("{0}")]
    Ended(String),
    /// Somebody runs another server under this name.
    #[error("{0}")]
    Superseded(String),
}

impl Cluster {
    /// Checks what can be checked without joining.
    pub(crate) fn check_args(args: &ClusterArgs) -> Result<(), ClusterError> {
        match args.settings()? {
            Some(settings) => settings.check().map_err(|end| ClusterError::of(&end)),
            None => Ok(()),
        }
    }

    /// Begins to join a cluster, if there is to be one.
    pub(crate) fn start(
        args: &ClusterArgs,
        hub: &Hub,
    ) -> Result<Option<(Self, Appending)>, ClusterError> {
        let Some(settings) = args.settings()? else {
            return Ok(None);
        };
        let node = settings.node;
        let (member, deliveries) = join(settings)?;
        let publisher = hub.publisher();
        let shared = Arc::new(Shared {
            node,
            member,
            ends: Ends::default(),
            start: publisher.position(),
        });
        let cluster = Self { shared };
        let appending = runtime::spawn(cluster.clone().append(deliveries, publisher));
        Ok(Some((cluster, appending)))
    }

    /// Waits until this server has joined; returns whether it has, and did not have to end before.
    pub(crate) fn wait(&self, is_to_end: &mut dyn FnMut() -> bool) -> Result<bool, ClusterError> {
        let mut version = 0;
        loop {
            match self.shared.member.wait(&mut version, TURN) {
                Some(State::Serving | State::Away { .. }) => return Ok(true),
                Some(State::Joining { trouble: Some(why) }) => {
                    tracing::warn!("cannot join the cluster yet: {why}; trying again");
                }
                Some(State::Ended(end)) => return Err(ClusterError::of(&end)),
                _ => {}
            }
            if is_to_end() {
                return Ok(false);
            }
        }
    }

    /// Makes what publishes the messages of a client.
    pub(crate) fn publisher(&self) -> Publisher {
        Publisher::new(self.clone(), self.shared.member.sender())
    }

    /// Leaves: nothing more is read of clients, and what was read of them goes to the stream and to
    /// the hub, if that is done in time.
    pub(crate) fn leave(&self, appending: Appending, time_max: Duration) {
        self.shared.member.leave();
        if block_on(timeout(time_max, appending)).is_err() {
            let held = self.shared.member.figures().outbox_len;
            tracing::warn!("{held} bytes of clients' messages may not have reached the cluster");
        }
    }

    /// Fails when the node's life is over, and it was not this server that ended it.
    pub(crate) fn check(&self) -> Result<(), ClusterError> {
        match self.shared.member.state().end() {
            None | Some(End::Left | End::Dropped) => Ok(()),
            Some(end) => Err(ClusterError::of(end)),
        }
    }

    /// Returns why clients had better go elsewhere, if they had.
    pub(crate) fn trouble(&self) -> Option<String> {
        match self.shared.member.state() {
            State::Serving => {
                let figures = self.shared.member.figures();
                figures.is_behind().then(|| "behind the cluster".to_owned())
            }
            State::Joining { trouble } => Some(match trouble {
                Some(trouble) => format!("joining the cluster: {trouble}"),
                None => "joining the cluster".to_owned(),
            }),
            State::Away { since, trouble } => {
                let seconds = since.elapsed().as_secs();
                Some(format!(
                    "the cluster's stream is away for {seconds} s: {trouble}"
                ))
            }
            State::Ended(end) => Some(end.to_string()),
            _ => Some("out of the cluster".to_owned()),
        }
    }

    /// Returns the figures as they are now.
    pub(crate) fn state(&self) -> ClusterState {
        let figures = self.shared.member.figures();
        let counts = figures.counts;
        ClusterState {
            node: self.shared.node.to_string(),
            state: match self.shared.member.state() {
                State::Joining { .. } => "joining",
                State::Serving => "serving",
                State::Away { .. } => "away",
                _ => "ended",
            },
            epoch: figures.epoch,
            outbox_bytes: figures.outbox_len as u64,
            own_batches: figures.own_batches,
            own_bytes: figures.own_bytes,
            round_trips_s: figures.round_trips.as_secs_f64(),
            round_trip_counts: round_trip_counts(&figures),
            batch_len_counts: batch_len_counts(&figures),
            lag: figures.lag,
            is_refused: self.shared.member.refused().is_some(),
            batches: counts.batches,
            repeated: counts.retries,
            skipped: [
                ("duplicate", counts.duplicates),
                ("stray", counts.strays),
                ("garbage", counts.garbage),
            ]
            .into(),
            reconnects: figures.reconnects,
            restarts: figures.restarts,
        }
    }

    async fn append(self, mut deliveries: Deliveries, mut hub: HubPublisher) {
        while let Some(delivery) = deliveries.next().await {
            if self.append_one(&delivery, &mut hub).await.is_err() {
                break;
            }
        }
        self.shared.ends.close();
    }

    /// Appends to the hub. Where this server's own clients' messages end, it notes the position.
    async fn append_one(&self, delivery: &Delivery, hub: &mut HubPublisher) -> Result<(), Closed> {
        let mut messages = delivery.messages();
        let len = messages.as_bytes().len();
        let ends = delivery.own().map(|own| self.shared.ends.take(own));
        for end in ends.into_iter().flatten() {
            let appended = len - messages.as_bytes().len();
            let mut part = messages.take_len(end.offset() - appended);
            end.set(hub.publish(&mut part).await?);
        }
        if !messages.is_empty() {
            hub.publish(&mut messages).await?;
        }
        Ok(())
    }
}

/// Returns the bounds in seconds, and how many round trips are counted for each.
fn round_trip_counts(figures: &Figures) -> Vec<(f64, u64)> {
    let bounds = ROUND_TRIP_BOUNDS.iter().map(Duration::as_secs_f64);
    let bounds = bounds.chain([f64::INFINITY]);
    bounds.zip(figures.round_trip_counts).collect()
}

/// Returns the bounds in bytes, and how many batches are counted for each. None is longer than all.
fn batch_len_counts(figures: &Figures) -> Vec<(f64, u64)> {
    let bounds = BATCH_LEN_BOUNDS.iter().map(|&bound| bound as f64);
    let counts = bounds.zip(figures.own_batch_len_counts);
    counts.chain([(f64::INFINITY, 0)]).collect()
}

impl ClusterError {
    fn of(end: &End) -> Self {
        match end {
            End::Node(Ended::Superseded) => Self::Superseded(end.to_string()),
            end => Self::Ended(end.to_string()),
        }
    }

    /// Returns whether it is the options that make no sense.
    pub(crate) fn is_usage(&self) -> bool {
        matches!(self, Self::Args(_))
    }

    /// Returns whether another server has this one's name by now.
    pub(crate) fn is_superseded(&self) -> bool {
        matches!(self, Self::Superseded(_))
    }
}

/// How often a wait looks whether it is to end. A judgement: nobody notices it.
const TURN: Duration = Duration::from_millis(50);
