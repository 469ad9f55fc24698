//! How much memory there is for the log.

use std::fs;
use std::path::{Path, PathBuf};

/// Says that the log would be too long for the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a log of {} MiB is too much for {} MiB of memory; choose --log-bytes {}MiB or less",
    len / MIB, memory_len / MIB, memory_len / 2 / MIB
)]
pub(crate) struct MemoryError {
    len: u64,
    memory_len: u64,
}

/// Checks that a log of `len` bytes leaves as much memory as it takes: for the sockets of the clients,
/// and all else.
pub(crate) fn check_log_len(len: u64) -> Result<(), MemoryError> {
    memory_len().map_or(Ok(()), |memory_len| check(len, memory_len))
}

fn check(len: u64, memory_len: u64) -> Result<(), MemoryError> {
    if len > memory_len / 2 {
        return Err(MemoryError { len, memory_len });
    }
    Ok(())
}

/// Returns how many bytes of memory this process can have, where the system tells: those of the
/// machine, or of its control group, as in a container.
fn memory_len() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok();
    let machine = machine.as_deref().and_then(parse_total);
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = limit_files(&groups).into_iter().filter_map(|file| {
        // A group without a limit says `max`, or a number that is beyond all memory.
        let len = fs::read_to_string(file).ok()?;
        len.trim().parse().ok()
    });
    machine.into_iter().chain(limits).min()
}

/// Returns where the limits are of the control groups that a process is in, and of those around them;
/// of both versions. Not all of these files exist: a container sees its own group as the outermost one.
/// Source: cgroups(7).
fn limit_files(groups: &str) -> Vec<PathBuf> {
    let groups = groups.lines().filter_map(|line| {
        let (_, group) = line.split_once(':')?;
        group.split_once(':')
    });
    let limiting = groups.filter(|(controllers, _)| {
        controllers
            .split(',')
            .any(|it| ["", "memory"].contains(&it))
    });
    let files = limiting.flat_map(|(controllers, path)| {
        let (root, name) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        };
        let group = Path::new(root).join(path.trim_start_matches('/'));
        let around = group.ancestors().take_while(|at| at.starts_with(root));
        around.map(|at| at.join(name)).collect::<Vec<_>>()
    });
    files.collect()
}

/// Finds the line `MemTotal: 24683520 kB`. Source: proc_meminfo(5).
fn parse_total(text: &str) -> Option<u64> {
    let total = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = total.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

const MIB: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_of_all_groups_count() {
        let groups = "12:cpu,cpuacct:/user\n4:memory:/docker/abc\n0::/system.slice/chat.service\n";
        assert_eq!(
            limit_files(groups),
            [
                "/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/docker/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes",
                "/sys/fs/cgroup/system.slice/chat.service/memory.max",
                "/sys/fs/cgroup/system.slice/memory.max",
                "/sys/fs/cgroup/memory.max",
            ]
            .map(PathBuf::from)
        );
        assert_eq!(
            limit_files("0::/\n"),
            [PathBuf::from("/sys/fs/cgroup/memory.max")]
        );
        assert!(limit_files("no groups").is_empty());
    }

    #[test]
    fn the_log_may_have_half_of_the_memory() {
        assert_eq!(check(4 * MIB, 8 * MIB), Ok(()));
        let error = check(4 * MIB + 1, 8 * MIB).unwrap_err();
        let text =
            "a log of 4 MiB is too much for 8 MiB of memory; choose --log-bytes 4MiB or less";
        assert_eq!(error.to_string(), text);
    }

    #[test]
    fn the_memory_of_the_machine_is_found() {
        let text = "MemTotal:       24683520 kB\nMemFree:        16849920 kB\n";
        assert_eq!(parse_total(text), Some(24_683_520 * 1024));
        assert_eq!(parse_total("MemFree: 1 kB"), None);
        assert_eq!(parse_total("MemTotal: much"), None);
    }
}
