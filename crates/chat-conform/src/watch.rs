//! What the server takes, seen from outside.

use std::time::Duration;

use procfs::process::{Process, all_processes};
use procfs::{page_size, ticks_per_second};

/// Watches the process group that a process leads.
#[derive(Debug)]
pub(crate) struct Watch {
    leader: i32,
}

impl Watch {
    pub(crate) fn new(leader: i32) -> Self {
        Self { leader }
    }

    /// Returns how much the group takes now; `None` when the system does not tell.
    pub(crate) fn look(&self) -> Option<Look> {
        let mut look = Look::default();
        let mut is_leader_seen = false;
        for process in all_processes().ok()?.flatten() {
            let Some(stat) = process.stat().ok().filter(|stat| stat.pgrp == self.leader) else {
                continue;
            };
            is_leader_seen |= process.pid == self.leader;
            look.ticks += stat.utime + stat.stime;
            look.memory_len += stat.rss * page_size();
            look.descriptor_count += descriptor_count(&process)?;
        }
        is_leader_seen.then_some(look)
    }
}

fn descriptor_count(process: &Process) -> Option<usize> {
    process.fd_count().ok()
}

/// What a process group takes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Look {
    ticks: u64,
    pub(crate) memory_len: u64,
    pub(crate) descriptor_count: usize,
}

impl Look {
    /// Returns the processor time since an earlier look.
    pub(crate) fn cpu_since(&self, earlier: &Self) -> Duration {
        let ticks = self.ticks.saturating_sub(earlier.ticks);
        Duration::from_secs_f64(ticks as f64 / ticks_per_second() as f64)
    }
}
