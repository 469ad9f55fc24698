//! Clients on all chat servers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::body::Bodies;
use crate::keeper::{Shared, check};
use crate::member::{Phase, Pulse, Room, Session, take_part};
use crate::{ClusterError, wait_until};

/// Clients that talk and listen, some on each chat server. One whose server is gone comes back to the
/// same server as soon as that is there. Dropping it has all leave at once.
#[derive(Debug)]
pub struct Crowd {
    room: Arc<Room>,
    members: Vec<Member>,
    /// What ends all waits where one of them has ended for good.
    servers: Vec<Shared>,
}

#[derive(Debug)]
struct Member {
    pulse: Arc<Pulse>,
    thread: Option<JoinHandle<Vec<Session>>>,
}

/// What a crowd saw.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Seen {
    /// The connections of all clients.
    pub sessions: Vec<Session>,
    /// How many messages were sent.
    pub sent_count: u32,
    pub(crate) bodies: Bodies,
}

impl Crowd {
    /// Has `per_node` clients join each of the servers, and waits until all are served.
    ///
    /// # Errors
    ///
    /// When one is not served in time.
    pub fn start(addrs: &[SocketAddr], per_node: usize) -> Result<Self, ClusterError> {
        Self::start_at(addrs, per_node, &[])
    }

    /// Does so, and waits from then on only as long as none of `servers` has ended for good.
    pub(crate) fn start_at(
        addrs: &[SocketAddr],
        per_node: usize,
        servers: &[Shared],
    ) -> Result<Self, ClusterError> {
        let room = Arc::new(Room::new(fastrand::u64(..), addrs.len() * per_node));
        let mut members = Vec::new();
        for (node, addr) in addrs.iter().copied().enumerate() {
            for _ in 0..per_node {
                let pulse = Arc::new(Pulse::default());
                let (room, own) = (Arc::clone(&room), Arc::clone(&pulse));
                let thread = thread::Builder::new().name(format!("client of {addr}"));
                let number = members.len();
                let thread = thread.spawn(move || take_part(&room, &own, number, (node, addr)));
                let thread = thread.map_err(ClusterError::io("starting a client"))?;
                members.push(Member {
                    pulse,
                    thread: Some(thread),
                });
            }
        }
        let crowd = Self {
            room,
            members,
            servers: servers.to_vec(),
        };
        crowd.wait_served()?;
        crowd.take_silence();
        Ok(crowd)
    }

    /// Waits until all clients have got some messages of their own back that they send from now on, or
    /// have just sent.
    ///
    /// # Errors
    ///
    /// When that takes too long.
    pub fn wait_served(&self) -> Result<(), ClusterError> {
        let counts = || {
            let pulses = self.members.iter();
            pulses.map(|it| it.pulse.echo_count.load(Ordering::Relaxed))
        };
        let before: Vec<u64> = counts().collect();
        self.wait("serving all clients", || {
            let mut pairs = counts().zip(&before);
            let is_served = pairs.all(|(now, before)| now >= before + ECHO_COUNT);
            is_served.then_some(())
        })
    }

    /// Returns the longest time in which a client got nothing, since this was asked last.
    pub fn take_silence(&self) -> Duration {
        let silences = self
            .members
            .iter()
            .map(|it| it.pulse.take_silence(&self.room));
        silences.max().unwrap_or_default()
    }

    /// Has all clients stop and leave in order; returns what they saw.
    ///
    /// # Errors
    ///
    /// When they do not get what they are owed in time.
    pub fn finish(mut self) -> Result<Seen, ClusterError> {
        self.room.set_phase(Phase::Settle);
        self.wait("giving all clients their own messages", || {
            let is_settled = |it: &Member| it.pulse.is_settled.load(Ordering::Relaxed);
            self.members.iter().all(is_settled).then_some(())
        })?;
        self.room.set_phase(Phase::Leave);
        let is_finished = |it: &Member| it.thread.as_ref().is_none_or(JoinHandle::is_finished);
        self.wait(
            "giving all clients the last words of all, and the end",
            || self.members.iter().all(is_finished).then_some(()),
        )?;
        Ok(self.seen())
    }

    /// Has all clients leave at once, owed nothing; returns what they saw.
    pub fn leave(mut self) -> Seen {
        self.room.set_phase(Phase::Over);
        self.seen()
    }

    fn wait(&self, what: &str, mut look: impl FnMut() -> Option<()>) -> Result<(), ClusterError> {
        wait_until(what, || {
            check(&self.servers)?;
            Ok(look())
        })
    }

    fn seen(&mut self) -> Seen {
        let sessions = self.join();
        Seen {
            sessions,
            sent_count: self.room.sent_count.load(Ordering::Relaxed),
            bodies: self.room.bodies,
        }
    }

    fn join(&mut self) -> Vec<Session> {
        let threads = self.members.iter_mut().filter_map(|it| it.thread.take());
        // A client does not panic; and if it did, the message has been printed.
        threads.filter_map(|it| it.join().ok()).flatten().collect()
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.room.set_phase(Phase::Over);
        self.join();
    }
}

/// How many of its own messages a client has to get back to be served. A judgement: the first of them may
/// have been under way.
const ECHO_COUNT: u64 = 5;
