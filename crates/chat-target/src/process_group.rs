//! A process group and the end of it.

use std::process::Child;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

/// The process group of the server: the server and all that it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProcessGroup {
    leader: Pid,
}

impl ProcessGroup {
    /// Returns the group of a child that was started as the leader of its own.
    pub(crate) fn led_by(child: &Child) -> Self {
        Self {
            leader: Pid::from_child(child),
        }
    }

    /// Returns the group with this number, if it can be one.
    pub(crate) fn of_id(id: i32) -> Option<Self> {
        Pid::from_raw(id).map(|leader| Self { leader })
    }

    /// Returns its number.
    pub(crate) fn id(self) -> i32 {
        self.leader.as_raw_nonzero().get()
    }

    /// Asks all processes of the group to end.
    pub(crate) fn terminate(self) {
        self.signal(Signal::TERM);
    }

    /// Ends all processes of the group.
    pub(crate) fn kill(self) {
        self.signal(Signal::KILL);
    }

    /// Tells whether no process is left, not even one that nobody waited for.
    pub(crate) fn is_empty(self) -> bool {
        test_kill_process_group(self.leader) == Err(Errno::SRCH)
    }

    fn signal(self, signal: Signal) {
        // The one thing that can go wrong is that the group is empty, and that is what is wanted.
        let _ = kill_process_group(self.leader, signal);
    }
}
