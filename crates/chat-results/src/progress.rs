//! How far a repetition is, and what it has counted.

use std::io;
use std::time::Duration;

use crate::load::Load;

/// How far a repetition is.
#[derive(Clone, Copy, Debug)]
pub struct Tick {
    /// The part that is under way.
    pub phase: Phase,
    /// How long the phase has lasted.
    pub elapsed: Duration,
    /// How many have not completed it.
    pub open: usize,
    /// What has been counted until now.
    pub count: Count,
    /// How many deliveries are known to be lost.
    pub lost: u64,
    /// The 99th percentile of the latency of deliveries, so far.
    pub p99: Duration,
    /// The 99th percentile of the latency of the deliveries since the last tick; `None` without
    /// one.
    pub p99_since: Option<Duration>,
}

/// The part of a repetition that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Clients connect and say hello; each is registered when its own hello message comes back.
    Join,
    /// Publishers send, as the pacing has it.
    Load,
    /// Publishers send a closing message each, and everybody waits for all of them.
    Close,
    /// Everybody has ended its sending side, and reads to the end of the stream.
    Leave,
    /// All is over, and it is looked for one order.
    Verdict,
}

/// What was counted in a repetition, to its end or as far as it came. Only load messages count.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    /// How many were sent.
    pub sent: u64,
    /// How many of them were no warm-up.
    pub measured_sent: u64,
    /// How many bytes the deliveries had that were no warm-up.
    pub measured_bytes: u64,
    /// How many were due by the schedule and could not be sent.
    pub unsent: u64,
    /// How many of these were no warm-up.
    pub measured_unsent: u64,
    /// How many of all of them for no other reason than that the load tester came too late.
    pub missed: u64,
    /// How many deliveries were due to publishers' own subscribers.
    pub own_sent: u64,
    /// How many of them there were.
    pub own_delivered: u64,
    /// How many deliveries there were to all receivers.
    pub delivered: u64,
    /// How many bytes these had.
    pub delivered_bytes: u64,
    /// How many deliveries there were to all clients that read, slow ones and visitors too.
    pub read: u64,
    /// How many of the deliveries were no warm-up.
    pub measured: u64,
    /// How long the load took, when it was completed.
    pub took: Duration,
    /// How much of that was no warm-up.
    pub measured_time: Duration,
    /// Whether the load ended early because no more messages can be recorded.
    pub is_cut: bool,
    /// How many visitors came and left.
    pub visited: u64,
    /// How many connections of stalled, slow and visiting clients the server closed.
    pub closed: u64,
    /// How many pauses the load tester itself made in the load: it was stopped, had no processor,
    /// or something it called did not return.
    pub pause_count: u64,
    /// How long these were.
    pub paused: Duration,
    /// How many times of deliveries and joins were left out, since a pause of the load tester is
    /// part of them.
    pub untimed: u64,
}

/// Is told what happens in a run, while it happens. `()` is one that does not care.
///
/// All of it happens on the thread that loads the server, so it takes time from that.
pub trait Observer {
    /// Something is waited for, before there is anything to count.
    fn waiting(&mut self, what: &'static str) {
        _ = what;
    }

    /// A repetition of `load` begins.
    ///
    /// # Errors
    ///
    /// Ends the run.
    fn began(&mut self, iteration: u32, load: &Load) -> io::Result<()> {
        _ = (iteration, load);
        Ok(())
    }

    /// A phase begins, or goes on: some twenty times a second.
    fn ticked(&mut self, iteration: u32, load: &Load, tick: &Tick) {
        _ = (iteration, load, tick);
    }

    /// A repetition came to its end, and the promise was kept.
    ///
    /// # Errors
    ///
    /// Ends the run.
    fn completed(&mut self, iteration: u32, count: &Count) -> io::Result<()> {
        _ = (iteration, count);
        Ok(())
    }

    /// The promise was broken: the class of the violation, in one word, and who received what. The
    /// run ends.
    fn violated(&mut self, iteration: u32, class: &'static str, story: &str) {
        _ = (iteration, class, story);
    }

    /// Something is odd and breaks no promise.
    fn noted(&mut self, note: &str) {
        _ = note;
    }
}

impl Observer for () {}
