//! A directory that is removed at the end, also where this process does not come to its end.

use std::env;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::ClusterError;

/// A new directory for the files of a cluster. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct Dir {
    path: PathBuf,
    /// Removes it when this process ends, whatever signal ends it. The end of its standard input, which
    /// nobody else has, tells it so.
    guard: Child,
}

impl Dir {
    pub(crate) fn create() -> Result<Self, ClusterError> {
        let name = format!("chat-cluster-{:016x}", fastrand::u64(..));
        let path = env::temp_dir().join(name);
        // It is there before the directory is.
        let guard = Command::new("sh")
            .args(["-c", REMOVE.trim()])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // What ends this process from a terminal does not end it.
            .process_group(0)
            .spawn();
        let failed = ClusterError::io("making a directory");
        let dir = Self {
            path,
            guard: guard.map_err(failed)?,
        };
        fs::create_dir(&dir.path).map_err(failed)?;
        Ok(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        // Whatever stays there harms nobody.
        let _ = fs::remove_dir_all(&self.path);
        let _ = self.guard.kill();
        let _ = self.guard.wait();
    }
}

/// Waits for the end of standard input, and removes the directory `$0`. The servers are killed at the same
/// time, and may make another file before they are gone.
const REMOVE: &str = r#"
read -r _
for _ in 1 2 3 4 5; do
    rm -rf -- "$0"
    sleep 0.2
done
"#;
