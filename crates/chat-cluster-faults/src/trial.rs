//! One fault, with a crowd, and what it came to.

use std::time::Duration;

use fastrand::Rng;

use crate::keeper::{Keeper, check};
use crate::{Cluster, ClusterError, Crowd, Exit, Facts, Fault, dump, judge};

/// What a fault came to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Trial {
    /// What happened.
    pub faults: Vec<Fault>,
    /// The longest time in which a client got nothing, though others talked.
    pub silence: Duration,
    /// What the clients saw.
    pub facts: Facts,
    /// The chat servers that failed by themselves, and were started again. They cost clients no
    /// acknowledged message, so the promise may be kept all the same.
    pub exits: Vec<Exit>,
}

/// Why a trial came to nothing.
#[derive(Debug, thiserror::Error)]
#[error("after {} with seed {seed}: {source}\n{lines}", names(faults))]
pub struct TrialError {
    /// What had happened, the last not to its end.
    pub faults: Vec<Fault>,
    /// The seed.
    pub seed: u64,
    /// Why.
    pub source: Box<ClusterError>,
    /// What the chat servers printed last, and how the servers of NATS have the stream.
    pub lines: String,
}

impl Trial {
    /// Has faults happen to a cluster one after the other, each for `time`, while a crowd is there; and
    /// compares what that saw with the stream. Chat servers that fail by themselves are started again.
    ///
    /// # Errors
    ///
    /// When the cluster does not come back, or does not serve again; and when a chat server ends by itself
    /// for good: without a failure, with the exit code 2 or 3, or for the fourth time.
    pub fn run(
        cluster: &mut Cluster,
        faults: &[Fault],
        time: Duration,
        seed: u64,
    ) -> Result<Self, TrialError> {
        let mut rng = Rng::with_seed(seed);
        let mut happened = Vec::new();
        let result = cluster.nodes.keep().and_then(|keeper| {
            let trial = play(cluster, &keeper, faults, time, &mut rng, &mut happened);
            // Where a server is gone for good, that is why nothing else came to its end.
            check(keeper.servers()).and(trial)
        });
        result.map_err(|source| TrialError {
            faults: happened,
            seed,
            source: Box::new(source),
            lines: cluster.report(),
        })
    }
}

fn names(faults: &[Fault]) -> String {
    if faults.is_empty() {
        return "nothing".to_owned();
    }
    let names: Vec<String> = faults.iter().map(Fault::to_string).collect();
    names.join(", ")
}

fn play(
    cluster: &mut Cluster,
    keeper: &Keeper,
    faults: &[Fault],
    time: Duration,
    rng: &mut Rng,
    happened: &mut Vec<Fault>,
) -> Result<Trial, ClusterError> {
    let addrs = cluster.nodes.addrs();
    let crowd = Crowd::start_at(addrs, CLIENTS_PER_NODE, keeper.servers())?;
    for fault in faults {
        happened.push(*fault);
        fault.play(cluster, time, rng)?;
        crowd.wait_served()?;
    }
    let silence = crowd.take_silence();
    let seen = crowd.finish()?;
    let leader = cluster.nats.wait_whole(&cluster.stream)?;
    let dump = dump(cluster.nats.addrs()[leader], &cluster.stream)?;
    // One that has ended only now is there for the next trial.
    let mut numbers = 0..cluster.nodes.addrs().len();
    numbers.try_for_each(|number| cluster.nodes.wait_ready(number))?;
    Ok(Trial {
        faults: faults.to_vec(),
        silence,
        facts: judge(&seen, Some(&dump)),
        exits: cluster.nodes.exits(),
    })
}

/// How many clients each chat server has. A judgement: one talks while another answers.
const CLIENTS_PER_NODE: usize = 3;
