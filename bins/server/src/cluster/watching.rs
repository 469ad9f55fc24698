//! What the log has of the cluster.

use std::thread;
use std::time::{Duration, Instant};

use chat_cluster::jetstream::{End, State};
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
        let (mut version, mut away_since, mut odd_count) = (0, None, 0);
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
            let counts = member.figures().counts;
            let odd = counts.garbage + counts.strays;
            if odd > odd_count {
                let new = odd - odd_count;
                warn!(
                    "{new} entries of the cluster's stream do not count; does somebody else write to it?"
                );
                odd_count = odd;
            }
        }
    }
}

/// How often entries that do not count are logged at most, while nothing else happens.
const PERIOD: Duration = Duration::from_secs(10);
