//! What the log has of the cluster.

use std::thread;
use std::time::{Duration, Instant};

use chat_cluster::jetstream::{End, Member, RefuseError, State};
use tracing::{info, warn};

use super::{Cluster, ClusterError};

impl Cluster {
    /// Logs how the cluster is from now on, on a thread of its own, and calls `end` when this
    /// server's part in it is over.
    pub(crate) fn watch(&self, end: impl FnOnce() + Send + 'static) -> Result<(), ClusterError> {
        let cluster = self.clone();
        let thread = thread::Builder::new().name("cluster-watch".to_owned());
        let watching = move || {
            cluster.log_until_end();
            end();
        };
        Ok(thread.spawn(watching).map(drop)?)
    }

    fn log_until_end(&self) {
        let member = &self.shared.member;
        let epoch = member.figures().epoch;
        info!(node = %self.shared.node, epoch, "joined the cluster");
        let (mut version, mut away_since) = (0, None);
        let mut seen = Seen::default();
        loop {
            match member.wait(&mut version, PERIOD) {
                Some(State::Away { since, trouble }) => {
                    warn!("the cluster's stream is away, and clients wait: {trouble}");
                    away_since.get_or_insert(since);
                }
                Some(State::Serving) => {
                    if let Some(since) = away_since.take() {
                        let time = Instant::now().duration_since(since);
                        warn!("the cluster's stream is back after {time:.1?}");
                    }
                }
                Some(State::Ended(end)) => {
                    if !matches!(*end, End::Left | End::Dropped) {
                        warn!("out of the cluster: {end}");
                    }
                    return;
                }
                _ => {}
            }
            seen.log_changes(member);
        }
    }
}

/// What was logged of the stream.
#[derive(Default)]
struct Seen {
    /// How many entries did not count, and when that was logged last.
    odd_count: u64,
    odd_at: Option<Instant>,
    refused: Option<RefuseError>,
}

impl Seen {
    fn log_changes(&mut self, member: &Member) {
        let counts = member.figures().counts;
        let odd_count = counts.garbage + counts.strays;
        let is_due = self.odd_at.is_none_or(|at| at.elapsed() >= ODD_PERIOD);
        if is_due && odd_count > self.odd_count {
            let new = odd_count - self.odd_count;
            warn!(
                "{new} entries of the cluster's stream do not count; does somebody else write to it?"
            );
            (self.odd_count, self.odd_at) = (odd_count, Some(Instant::now()));
        }
        let refused = member.refused();
        if refused != self.refused {
            match &refused {
                Some(why) => warn!("somebody has changed the cluster's stream: {why}"),
                None => warn!("the cluster's stream has the settings again that it needs"),
            }
            self.refused = refused;
        }
    }
}

/// How often changes are looked for, while nothing else happens.
const PERIOD: Duration = Duration::from_secs(1);

/// How often entries that do not count are logged at most.
const ODD_PERIOD: Duration = Duration::from_secs(10);
