//! Chat servers and servers of NATS, all real, that are killed, frozen, cut off and restarted, while
//! clients on all chat servers talk: one order over all of them, each message once, and nothing lost that
//! was acknowledged. Where there is no NATS server, the tests pass by, unless `CI` is set.
//!
//! The example `faults` of chat-cluster-faults does the same for as long as one likes.
#![cfg(feature = "cluster")]

use std::path::PathBuf;
use std::time::Duration;

use chat_cluster_faults::{Cluster, Fault, Settings, Trial, find_nats};

/// How long a fault lasts that lasts. The leader of a stream is missed after some seconds.
const TIME: Duration = Duration::from_secs(2);

/// Finds NATS; in the gate it has to be there.
fn nats() -> Option<PathBuf> {
    let nats = find_nats();
    let must = std::env::var_os("CI").is_some();
    assert!(nats.is_some() || !must, "nats-server is not installed");
    if nats.is_none() {
        eprintln!("skipped: nats-server is not installed (Debian: apt-get install nats-server)");
    }
    nats
}

/// Has faults happen to a cluster of its own, and holds what the clients saw to the stream.
#[track_caller]
fn check(storage: &str, faults: &[Fault]) {
    let Some(nats) = nats() else { return };
    let mut settings = Settings::new(nats, env!("CARGO_BIN_EXE_chat-server"));
    for arg in &mut settings.args {
        *arg = arg.replace("storage=memory", &format!("storage={storage}"));
    }
    let mut cluster = Cluster::start(&settings).unwrap();
    let seed = std::process::id().into();
    let trial = Trial::run(&mut cluster, faults, TIME, seed);
    let facts = trial.unwrap_or_else(|error| panic!("{error}")).facts;
    assert!(facts.is_kept(), "seed {seed}: {facts}");
    assert!(facts.acknowledged > 0, "seed {seed}: {facts}");
}

#[test]
fn faults_of_the_streams_servers_cost_no_message() {
    check(
        "memory",
        &[
            Fault::LeaderKilled,
            Fault::LeaderFrozen,
            Fault::LeaderCutOff,
            Fault::FollowerKilled,
        ],
    );
}

#[test]
fn faults_of_chat_servers_cost_no_acknowledged_message() {
    let faults = [Fault::NodeKilled, Fault::NodeFrozen, Fault::NodeCutOff];
    check("memory", &faults);
}

#[test]
fn everything_is_restarted_in_turn_and_nothing_is_lost() {
    check("file", &[Fault::RollingRestart]);
}

#[test]
fn a_stream_without_a_quorum_is_waited_for() {
    check("file", &[Fault::QuorumLost]);
}
