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
/// machine, or of a control group that it is in, as in a container or a service.
fn memory_len() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok();
    let machine = machine.as_deref().and_then(parse_total);
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = limit_files(&groups).into_iter().filter_map(|path| {
        // It is `max` where there is no limit.
        fs::read_to_string(path).ok()?.trim().parse().ok()
    });
    machine.into_iter().chain(limits).min()
}

/// Returns where the limits are of the control group in the line `0::/system.slice/chat.service`, and
/// of those around it. Source: cgroups(7).
fn limit_files(groups: &str) -> Vec<PathBuf> {
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/"));
    let group = Path::new(CGROUPS).join(group.unwrap_or_default());
    let around = group
        .ancestors()
        .take_while(|path| path.starts_with(CGROUPS));
    around.map(|path| path.join("memory.max")).collect()
}

/// Finds the line `MemTotal: 24683520 kB`. Source: proc_meminfo(5).
fn parse_total(text: &str) -> Option<u64> {
    let total = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = total.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// Where control groups are, of the version that has them all in one tree.
const CGROUPS: &str = "/sys/fs/cgroup";

const MIB: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_may_have_half_of_the_memory() {
        assert_eq!(check(4 * MIB, 8 * MIB), Ok(()));
        let error = check(4 * MIB + 1, 8 * MIB).unwrap_err();
        let text =
            "a log of 4 MiB is too much for 8 MiB of memory; choose --log-bytes 4MiB or less";
        assert_eq!(error.to_string(), text);
    }

    #[test]
    fn the_limits_of_all_groups_around_are_looked_at() {
        let paths = limit_files("1:name=systemd:/other\n0::/system.slice/chat.service\n");
        let root = Path::new("/sys/fs/cgroup");
        let expected = [
            root.join("system.slice/chat.service/memory.max"),
            root.join("system.slice/memory.max"),
            root.join("memory.max"),
        ];
        assert_eq!(paths, expected);
        for inside_a_container in ["0::/\n", ""] {
            assert_eq!(limit_files(inside_a_container), [root.join("memory.max")]);
        }
    }

    #[test]
    fn the_memory_of_the_machine_is_found() {
        let text = "MemTotal:       24683520 kB\nMemFree:        16849920 kB\n";
        assert_eq!(parse_total(text), Some(24_683_520 * 1024));
        assert_eq!(parse_total("MemFree: 1 kB"), None);
        assert_eq!(parse_total("MemTotal: much"), None);
    }
}
