//! Chat servers and servers of NATS, all real, that are killed, frozen, cut off and restarted, while
//! clients on all chat servers talk: one order over all of them, each message once, and nothing lost that
//! was acknowledged. Where there is no NATS server, the tests pass by, unless `CI` is set.
//!
//! The example `faults` of chat-cluster-faults does the same for as long as one likes.
#![cfg(feature = "cluster")]

use std::thread;
use std::time::{Duration, Instant};

use chat_cluster_faults::{Cluster, Crowd, Fault, Settings, Trial, find_faketime, judge};

/// NATS where it is.
#[path = "../../../../crates/chat-cluster-faults/tests/it/installed.rs"]
mod installed;

use installed::nats;

/// How long a fault lasts that lasts. The leader of a stream is missed after some seconds.
const TIME: Duration = Duration::from_secs(2);

/// Makes the settings of a cluster with a stream in `storage`, if there is NATS.
fn settings(storage: &str) -> Option<Settings> {
    let mut settings = Settings::new(nats()?, env!("CARGO_BIN_EXE_chat-server"));
    for arg in &mut settings.args {
        *arg = arg.replace("storage=memory", &format!("storage={storage}"));
    }
    Some(settings)
}

/// Has faults happen to a cluster of its own, and holds what the clients saw to the stream.
#[track_caller]
fn check(storage: &str, faults: &[Fault]) {
    let Some(settings) = settings(storage) else {
        return;
    };
    check_in(&mut Cluster::start(&settings).unwrap(), faults);
}

/// Has faults happen to a cluster.
#[track_caller]
fn check_in(cluster: &mut Cluster, faults: &[Fault]) {
    let seed = std::process::id().into();
    let trial = Trial::run(cluster, faults, TIME, seed);
    let trial = trial.unwrap_or_else(|error| panic!("{error}"));
    let facts = trial.facts;
    assert!(
        facts.is_kept() && trial.exits.is_empty(),
        "seed {seed}: {facts}\n{}",
        cluster.report()
    );
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
    // In files, replicas of version 2.9 of NATS may differ after restarts, which ends chat servers.
    check("memory", &[Fault::RollingRestart]);
}

#[test]
fn a_stream_without_a_quorum_is_waited_for() {
    check("file", &[Fault::QuorumLost]);
}

/// Starts a cluster whose servers of NATS have small disks, where the system lets us.
fn with_disks() -> Option<Cluster> {
    let mut settings = settings("file")?;
    settings.disk_len = Some(DISK_LEN);
    let cluster = Cluster::start(&settings).unwrap();
    if cluster.disks.is_none() {
        eprintln!("skipped: the system does not let us mount disks");
        return None;
    }
    Some(cluster)
}

#[test]
fn a_full_disk_of_one_server_costs_no_message() {
    if let Some(mut cluster) = with_disks() {
        check_in(
            &mut cluster,
            &[Fault::FollowerDiskFull, Fault::LeaderDiskFull],
        );
    }
}

#[test]
#[ignore = "version 2.9 of NATS does not always get well again"]
fn full_disks_of_all_servers_are_told_and_cost_no_message() {
    let Some(mut cluster) = with_disks() else {
        return;
    };
    // While the disks are full, the fault itself waits for all chat servers not to be ready.
    check_in(&mut cluster, &[Fault::DisksFull]);
    let report = cluster.report();
    for server in ["chat server 1", "chat server 2"] {
        let is_told = |line: &str| line.starts_with(server) && line.contains("stream is away");
        assert!(report.lines().any(is_told), "{report}");
    }
}

#[test]
fn clocks_that_are_hours_apart_change_nothing() {
    let Some(mut settings) = settings("file") else {
        return;
    };
    if find_faketime().is_none() {
        eprintln!("skipped: libfaketime is not installed (Debian: apt-get install libfaketime)");
        return;
    }
    settings.clocks = ["+1h", "-1h"].map(str::to_owned).into();
    let mut cluster = Cluster::start(&settings).unwrap();
    check_in(&mut cluster, &[Fault::LeaderKilled, Fault::QuorumLost]);
    // Both tell that the stream was away, each at the time that it has.
    let lines = cluster.nodes.last_lines();
    let hours = lines.iter().map(|lines| {
        let told = lines.iter().rfind(|line| line.contains("stream is"));
        told.map(|line| line.split(':').next().unwrap_or_default())
    });
    let hours: Vec<&str> = hours.map(Option::unwrap).collect();
    assert_ne!(hours[0], hours[1], "{lines:?}");
}

#[test]
fn a_stream_in_memory_is_gone_with_all_servers_and_is_told() {
    let Some(settings) = settings("memory") else {
        return;
    };
    let mut cluster = Cluster::start(&settings).unwrap();
    let crowd = Crowd::start(cluster.nodes.addrs(), 3).unwrap();
    for number in 0..cluster.nats.addrs().len() {
        cluster.nats.kill(number);
    }
    for number in 0..cluster.nats.addrs().len() {
        cluster.nats.restart(number).unwrap();
    }
    cluster.nats.wait_healthy().unwrap();
    let deadline = Instant::now() + GONE_WAIT;
    for node in 0..settings.node_count {
        while cluster.nodes.exit_status(node).is_none() {
            assert!(Instant::now() < deadline, "{}", cluster.report());
            assert!(!cluster.nodes.is_ready(node), "{}", cluster.report());
            thread::sleep(Duration::from_millis(100));
        }
        let status = cluster.nodes.exit_status(node).unwrap();
        let lines = &cluster.nodes.last_lines()[node];
        assert!(!status.success(), "{lines:?}");
        assert!(lines.iter().any(|line| line.contains("lost")), "{lines:?}");
    }
    // One order, and nothing twice, as long as there was a stream.
    let facts = judge(&crowd.leave(), None);
    assert!(facts.is_kept(), "{facts}");
    assert!(facts.acknowledged > 0, "{facts}");
    for node in 0..settings.node_count {
        cluster.nodes.restart(node).unwrap();
    }
    // Others get nothing of that, and the new stream is one order as well.
    check_in(&mut cluster, &[Fault::None]);
}

/// How long a chat server is given to end after its stream. It looks for it for 10 s.
const GONE_WAIT: Duration = Duration::from_secs(60);

/// How many bytes the disk of a server of NATS has. A judgement: soon full.
const DISK_LEN: u64 = 48 << 20;
