//! Small disks that can be full.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use chat_target::Launch;

use crate::process::Process;
use crate::{ClusterError, Nats, POLL_INTERVAL};

/// A disk in memory for each server of NATS. They are gone with this process.
///
/// A process in a mount namespace of its own holds them, so that no rights are needed but that to have such
/// a namespace. Others reach them through the root of that process.
#[derive(Debug)]
pub struct Disks {
    root: PathBuf,
    _holder: Process,
}

impl Disks {
    /// Makes disks of `len` bytes below `dir`. `None` where the system does not let us.
    pub(crate) fn mount(dir: &Path, len: u64, guard: Option<&Path>) -> Option<Self> {
        let args = ["-Urm", "sh", "-c", &script(len)].map(Into::into);
        let launch = Launch {
            args: args.into_iter().chain([dir.into()]).collect(),
            guard: guard.map(Path::to_owned),
            ..Launch::new("unshare", SocketAddr::from((Ipv4Addr::LOCALHOST, 1)))
        };
        let mut holder = Process::new("the holder of disks".to_owned(), launch);
        holder.start().ok()?;
        holder.wait_ready().ok()?;
        let within = dir.strip_prefix("/").ok()?;
        let root = PathBuf::from(format!("/proc/{}/root", holder.id()?)).join(within);
        Some(Self {
            root,
            _holder: holder,
        })
    }

    /// Returns the directory that has the disks, each under the name of its server.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Leaves no room on some disks until `lasts` returns, and then makes room again.
    pub(crate) fn fill(
        &self,
        numbers: &[usize],
        lasts: impl FnOnce() -> Result<(), ClusterError>,
    ) -> Result<(), ClusterError> {
        let failed = ClusterError::io("filling a disk");
        let mut files = Vec::new();
        for number in numbers {
            files.push(File::create(self.filler(*number)).map_err(failed)?);
        }
        let is_over = AtomicBool::new(false);
        let (lasted, filled) = thread::scope(|scope| {
            let filling = scope.spawn(|| {
                // A server that removes files makes room, which is filled as well.
                while !is_over.load(Ordering::Relaxed) {
                    files.iter().try_for_each(fill)?;
                    thread::sleep(POLL_INTERVAL);
                }
                Ok(())
            });
            let lasted = lasts();
            is_over.store(true, Ordering::Relaxed);
            (lasted, filling.join())
        });
        for number in numbers {
            fs::remove_file(self.filler(*number)).map_err(failed)?;
        }
        // A panic was printed.
        filled.unwrap_or(Ok(())).map_err(failed)?;
        lasted
    }

    fn filler(&self, number: usize) -> PathBuf {
        self.root.join(crate::nats::name(number)).join("filler")
    }
}

/// Writes until there is no room.
fn fill(mut file: &File) -> std::io::Result<()> {
    for len in [1 << 20, 4096] {
        let block = vec![0; len];
        loop {
            match file.write(&block) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// Makes what the holder does: `$0` is the directory, `$1` what it tells when it is ready.
fn script(len: u64) -> String {
    let names: Vec<String> = (0..Nats::COUNT).map(crate::nats::name).collect();
    format!(
        "for name in {}; do mkdir -p \"$0/$name\" && \
         mount -t tmpfs -o size={len} tmpfs \"$0/$name\" || exit 1; done; \
         echo \"listening on $1\"; exec sleep 1000000",
        names.join(" ")
    )
}
