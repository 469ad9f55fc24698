//! What happens to a cluster.

use std::fmt;
use std::thread;
use std::time::Duration;

use fastrand::Rng;

use crate::{Cluster, ClusterError, Nats, wait_for};

/// Something that happens to a cluster, and passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing.
    None,
    /// The leader of the stream is killed, and starts again.
    LeaderKilled,
    /// The leader of the stream does not run for a time.
    LeaderFrozen,
    /// The leader of the stream is cut off from the other servers of NATS.
    LeaderCutOff,
    /// A server of NATS that does not lead is killed, and starts again.
    FollowerKilled,
    /// A server of NATS that does not lead does not run for a time.
    FollowerFrozen,
    /// A chat server is killed, and starts again with the same name.
    NodeKilled,
    /// A chat server does not run for a time.
    NodeFrozen,
    /// A chat server is cut off from NATS.
    NodeCutOff,
    /// Two of the servers of NATS are killed, so that nobody can write, and start again.
    QuorumLost,
    /// The disk of a server of NATS that does not lead is full for a time. When there is room again, that
    /// server is started again, as an operator has to.
    FollowerDiskFull,
    /// The disk of the stream's leader is full for a time, likewise.
    LeaderDiskFull,
    /// The disks of all servers of NATS are full for a time, likewise. Until there is room, no chat server
    /// is ready.
    DisksFull,
    /// All servers end and start again, one after the other.
    RollingRestart,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::None,
        Self::LeaderKilled,
        Self::LeaderFrozen,
        Self::LeaderCutOff,
        Self::FollowerKilled,
        Self::FollowerFrozen,
        Self::NodeKilled,
        Self::NodeFrozen,
        Self::NodeCutOff,
        Self::QuorumLost,
        Self::FollowerDiskFull,
        Self::LeaderDiskFull,
        Self::DisksFull,
        Self::RollingRestart,
    ];

    /// Tells whether it needs servers of NATS with disks of their own, which have the stream.
    pub fn needs_disks(self) -> bool {
        matches!(
            self,
            Self::FollowerDiskFull | Self::LeaderDiskFull | Self::DisksFull
        )
    }

    /// Has it happen, lasting `time` where it lasts, and waits until the stream is whole again.
    ///
    /// # Errors
    ///
    /// When the cluster does not come back.
    pub fn play(
        self,
        cluster: &mut Cluster,
        time: Duration,
        rng: &mut Rng,
    ) -> Result<(), ClusterError> {
        let leader = cluster.nats.wait_whole(&cluster.stream)?;
        let follower = (leader + rng.usize(1..Nats::COUNT)) % Nats::COUNT;
        let node = rng.usize(..cluster.nodes.addrs().len());
        let Cluster { nats, nodes, .. } = cluster;
        match self {
            Self::None => thread::sleep(time),
            Self::LeaderKilled => kill_nats(nats, &[leader], time)?,
            Self::FollowerKilled => kill_nats(nats, &[follower], time)?,
            Self::QuorumLost => kill_nats(nats, &[leader, follower], time)?,
            Self::LeaderFrozen => freeze_nats(nats, leader, time),
            Self::FollowerFrozen => freeze_nats(nats, follower, time),
            Self::LeaderCutOff => {
                nats.cut_off(leader);
                thread::sleep(time);
                nats.join_again(leader);
            }
            Self::NodeKilled => {
                nodes.kill(node);
                thread::sleep(time);
                nodes.restart(node)?;
            }
            Self::NodeFrozen => {
                nodes.freeze(node);
                thread::sleep(time);
                nodes.thaw(node);
            }
            Self::NodeCutOff => {
                nodes.cut_off(node);
                thread::sleep(time);
                nodes.join_again(node);
            }
            Self::FollowerDiskFull => fill_disks(cluster, &[follower], time)?,
            Self::LeaderDiskFull => fill_disks(cluster, &[leader], time)?,
            Self::DisksFull => fill_disks(cluster, &[0, 1, 2], time)?,
            Self::RollingRestart => return restart_all(cluster),
        }
        cluster.nats.wait_healthy()?;
        cluster.nats.wait_whole(&cluster.stream)?;
        Ok(())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "none",
            Self::LeaderKilled => "leader killed",
            Self::LeaderFrozen => "leader frozen",
            Self::LeaderCutOff => "leader cut off",
            Self::FollowerKilled => "follower killed",
            Self::FollowerFrozen => "follower frozen",
            Self::NodeKilled => "chat server killed",
            Self::NodeFrozen => "chat server frozen",
            Self::NodeCutOff => "chat server cut off",
            Self::QuorumLost => "quorum lost",
            Self::FollowerDiskFull => "follower's disk full",
            Self::LeaderDiskFull => "leader's disk full",
            Self::DisksFull => "all disks full",
            Self::RollingRestart => "rolling restart",
        })
    }
}

fn kill_nats(nats: &mut Nats, numbers: &[usize], time: Duration) -> Result<(), ClusterError> {
    numbers.iter().for_each(|number| nats.kill(*number));
    thread::sleep(time);
    numbers.iter().try_for_each(|number| nats.restart(*number))
}

fn freeze_nats(nats: &mut Nats, number: usize, time: Duration) {
    nats.freeze(number);
    thread::sleep(time);
    nats.thaw(number);
}

fn fill_disks(
    cluster: &mut Cluster,
    numbers: &[usize],
    time: Duration,
) -> Result<(), ClusterError> {
    let Cluster {
        nats, nodes, disks, ..
    } = cluster;
    let disks = disks.as_ref().ok_or_else(|| {
        let failed = ClusterError::io("filling a disk of the servers of NATS");
        failed(std::io::ErrorKind::Unsupported.into())
    })?;
    let is_all = numbers.len() == Nats::COUNT;
    let all = 0..nodes.addrs().len();
    disks.fill(numbers, || {
        thread::sleep(time);
        if is_all {
            let is_any_ready = || all.clone().any(|node| nodes.is_ready(node));
            return wait_for("telling of the stream that it is away", || {
                (!is_any_ready()).then_some(())
            });
        }
        Ok(())
    })?;
    for number in numbers {
        // Versions of 2022 hang, without a word, and end only when they are killed.
        nats.kill(*number);
        nats.restart(*number)?;
    }
    Ok(())
}

fn restart_all(cluster: &mut Cluster) -> Result<(), ClusterError> {
    for number in 0..Nats::COUNT {
        cluster.nats.end(number);
        cluster.nats.restart(number)?;
        cluster.nats.wait_healthy()?;
        cluster.nats.wait_whole(&cluster.stream)?;
    }
    for number in 0..cluster.nodes.addrs().len() {
        // It may have ended by itself meanwhile.
        cluster.nodes.wait_ready(number)?;
        cluster.nodes.end(number)?;
        cluster.nodes.restart(number)?;
    }
    Ok(())
}
