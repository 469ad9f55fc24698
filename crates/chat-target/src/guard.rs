//! The end of a server whose load tester is gone.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::process_group::ProcessGroup;

/// A process that ends a process group when this process ends, however that happens: by SIGKILL,
/// too. It waits for the end of a pipe, which the system closes with this process.
#[derive(Debug)]
pub(crate) struct Guard {
    child: Child,
}

impl Guard {
    /// Starts one for a group. `executable` asks [`run`] first.
    pub(crate) fn start(executable: &Path, group: ProcessGroup) -> io::Result<Self> {
        let child = Command::new(executable)
            .args([NAME, &group.id().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // What ends this process from a terminal does not end it.
            .process_group(0)
            .spawn()?;
        Ok(Self { child })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Before its pipe is closed: the group has ended, and its number may be somebody else's.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Is the guard of a process group, if that is what the process was started as. `args` come after
/// the executable. Otherwise returns `None`, and it is up to the caller what the process is.
///
/// Executables that set [`Launch::guard`](crate::Launch::guard) to themselves ask this first.
pub fn run(mut args: impl Iterator<Item = OsString>) -> Option<()> {
    args.next().filter(|name| name == NAME)?;
    let group = args.next().and_then(|id| id.to_str()?.parse().ok());
    let mut buf = [0; 1];
    // Nobody writes: it waits for the end.
    while let Ok(1) = io::stdin().read(&mut buf) {}
    if let Some(group) = group.and_then(ProcessGroup::of_id) {
        group.kill();
    }
    Some(())
}

/// The first argument of a guard.
const NAME: &str = "guard-process-group";
