//! The server seen from outside: its processor time, memory, threads and open files. And what this
//! process takes itself.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use chat_results::ServerSeen;
use procfs::net::{TcpState, tcp, tcp6};
use procfs::process::{FDTarget, Process, all_processes};
use procfs::ticks_per_second;
use rustix::time::{ClockId, clock_gettime};

/// Watches the process group that a process leads.
///
/// Of a process that is gone, what was seen until then stays. Memory that processes of the group
/// share is counted for each of them.
#[derive(Debug)]
pub struct Usage {
    leader: i32,
    processes: Vec<Observed>,
    /// The processor time of those that are gone.
    gone_cpu: Duration,
    /// What was seen, if anything was. Processor time is not in it yet, and the memory after all
    /// is that of the last look.
    seen: Option<ServerSeen>,
    /// When the load that is under way began, and the processor time until then.
    load_from: Option<(Instant, Duration)>,
    /// How long all loads took, and the processor time in them.
    loads: (Duration, Duration),
    /// Whether the processor time is less than it was: the leader was gone before it was looked at, or
    /// a process of another group does the work.
    is_cpu_lost: bool,
}

impl Usage {
    /// Begins to watch the process `pid` and its group. No client has joined yet: that is what
    /// later memory is compared with.
    pub fn new(pid: u32) -> Self {
        let mut observer = Self {
            leader: pid.cast_signed(),
            processes: Vec::new(),
            gone_cpu: Duration::ZERO,
            seen: None,
            load_from: None,
            loads: (Duration::ZERO, Duration::ZERO),
            is_cpu_lost: false,
        };
        observer.find_processes();
        observer.sample();
        if let Some(seen) = &mut observer.seen {
            seen.rss_before_kib = seen.rss_after_kib;
        }
        observer
    }

    /// Notes the address that clients connect to. If no process of the group listens there, another
    /// one does the work, and nobody knows what that takes.
    pub fn note_address(&mut self, addr: SocketAddr) {
        self.is_cpu_lost |= self.listens_on(addr.port()) == Some(false);
    }

    /// Tells whether a process of the group listens on a port, if the system tells.
    fn listens_on(&self, port: u16) -> Option<bool> {
        let entries = tcp().ok()?.into_iter().chain(tcp6().unwrap_or_default());
        let listening: Vec<u64> = entries
            .filter(|entry| entry.state == TcpState::Listen && entry.local_address.port() == port)
            .map(|entry| entry.inode)
            .collect();
        if listening.is_empty() {
            return None;
        }
        for known in &self.processes {
            // Only who may trace a process may see its files.
            let files = known.process.fd().ok()?;
            let sockets = files.flatten().filter_map(|file| match file.target {
                FDTarget::Socket(inode) => Some(inode),
                _ => None,
            });
            if sockets.into_iter().any(|inode| listening.contains(&inode)) {
                return Some(true);
            }
        }
        Some(false)
    }

    /// Looks at the processes that are known. Reads three small files a process, whatever the
    /// number of threads: some tens of microseconds.
    pub fn sample(&mut self) {
        let looks: Vec<_> = self
            .processes
            .iter_mut()
            .filter_map(Observed::look)
            .collect();
        if looks.is_empty() {
            return;
        }
        let total = |of: fn(&Look) -> u64| looks.iter().map(of).sum::<u64>();
        let seen = self.seen.get_or_insert_default();
        // A process that has ended and was not waited for has no memory, but that says nothing of
        // what it held.
        let rss = total(|look| look.rss_kib);
        if rss > 0 {
            seen.rss_after_kib = rss;
        }
        seen.rss_peak_kib = seen.rss_peak_kib.max(total(|look| look.rss_peak_kib));
        seen.threads = seen.threads.max(total(|look| look.threads));
        seen.descriptors = seen.descriptors.max(total(|look| look.descriptors));
    }

    /// Returns the resident memory of the last look, in KiB, if there was one.
    pub fn rss_kib(&self) -> Option<u64> {
        self.seen.map(|seen| seen.rss_after_kib)
    }

    /// Notes that the load begins.
    pub fn begin_load(&mut self) {
        self.find_processes();
        self.sample();
        self.load_from = Some((Instant::now(), self.cpu()));
    }

    /// Notes that the load has ended. Loads add up.
    pub fn end_load(&mut self) {
        let Some((from, cpu)) = self.load_from.take() else {
            return;
        };
        self.loads.0 += from.elapsed();
        // What was started in the load worked for it.
        self.find_processes();
        self.is_cpu_lost |= !self
            .processes
            .iter()
            .any(|known| known.process.pid == self.leader);
        let cpu_in_load = self.cpu().saturating_sub(cpu);
        self.loads.1 += cpu_in_load;
        self.sample();
    }

    /// Looks a last time, when all clients have left, and returns what was seen, if anything was.
    /// There were `delivered` deliveries in the loads.
    pub fn seen(&mut self, delivered: u64) -> Option<ServerSeen> {
        self.end_load();
        self.sample();
        let (took, cpu) = (self.loads.0.as_secs_f64(), self.loads.1.as_secs_f64());
        let cpus = (took > 0.0 && !self.is_cpu_lost).then(|| cpu / took);
        let cpu_us_per_delivery = cpus
            .filter(|_| delivered > 0)
            .map(|_| cpu * 1e6 / delivered as f64);
        self.seen.map(|seen| ServerSeen {
            cpu_us_per_delivery,
            cpus,
            ..seen
        })
    }

    /// Returns the processor time of the group until now.
    fn cpu(&mut self) -> Duration {
        let cpu: Duration = self.processes.iter_mut().map(Observed::cpu).sum();
        let waited_for = self.processes.iter().map(|known| known.children_cpu);
        // Most that were seen and are gone are among those that others have waited for, and so are
        // those that came and went unseen.
        cpu + self.gone_cpu.max(waited_for.sum())
    }

    /// Finds the processes of the group that are not known yet. This looks at every process of the
    /// system: some milliseconds.
    fn find_processes(&mut self) {
        let Ok(all) = all_processes() else {
            return;
        };
        // Those that are gone make room.
        let gone_cpu = &mut self.gone_cpu;
        self.processes.retain(|known| {
            let is_there = known.process.stat().is_ok();
            *gone_cpu += if is_there { Duration::ZERO } else { known.cpu };
            is_there
        });
        // A process that is gone before it was looked at is none.
        for process in all.flatten() {
            let is_known = self
                .processes
                .iter()
                .any(|known| known.process.pid == process.pid);
            if is_known || self.processes.len() == PROCESSES_MAX {
                continue;
            }
            let is_member = || process.stat().is_ok_and(|stat| stat.pgrp == self.leader);
            if process.pid == self.leader || is_member() {
                self.processes.push(Observed {
                    process,
                    cpu: Duration::ZERO,
                    children_cpu: Duration::ZERO,
                });
            }
        }
    }
}

/// A process that is watched.
#[derive(Debug)]
struct Observed {
    process: Process,
    /// The most processor time that was seen.
    cpu: Duration,
    /// The processor time of its children that have ended and that it has waited for.
    children_cpu: Duration,
}

impl Observed {
    /// Looks at everything that is cheap to look at. Returns `None` when the process is gone.
    fn look(&mut self) -> Option<Look> {
        let status = self.process.status().ok()?;
        self.note_cpu_by_process();
        let rss_kib = status.vmrss.unwrap_or(0);
        // The system counts the peak now and then, so it may be behind.
        let rss_peak_kib = status.vmhwm.unwrap_or(0).max(rss_kib);
        // Only who may trace a process may see its files.
        let descriptors = self.process.fd_count().map_or(0, |count| count as u64);
        Some(Look {
            rss_kib,
            rss_peak_kib,
            threads: status.threads,
            descriptors,
        })
    }

    /// Returns the processor time until now, as far as it is known. Takes two small files a thread.
    ///
    /// It is asked for in two ways. The sum over the threads is exact to the nanosecond, but lacks
    /// threads that have ended; the figure for the process lacks none, but comes in ticks. So
    /// the larger of both is nearer to the truth.
    ///
    /// Source: proc_pid_schedstat(5) and proc_pid_stat(5).
    fn cpu(&mut self) -> Duration {
        if let Ok(threads) = self.process.tasks() {
            let nanoseconds = threads
                .flatten()
                .filter_map(|thread| thread.schedstat().ok())
                .map(|stat| stat.sum_exec_runtime)
                .sum();
            self.cpu = self.cpu.max(Duration::from_nanos(nanoseconds));
        }
        self.note_cpu_by_process();
        self.cpu
    }

    fn note_cpu_by_process(&mut self) {
        if let Ok(stat) = self.process.stat() {
            let time =
                |ticks: u64| Duration::from_secs_f64(ticks as f64 / ticks_per_second() as f64);
            self.cpu = self.cpu.max(time(stat.utime + stat.stime));
            let children = u64::try_from(stat.cutime + stat.cstime).unwrap_or(0);
            self.children_cpu = self.children_cpu.max(time(children));
        }
    }
}

/// What one look at a process sees.
#[derive(Debug)]
struct Look {
    rss_kib: u64,
    rss_peak_kib: u64,
    threads: u64,
    descriptors: u64,
}

/// Returns the processor time that the calling thread has taken until now.
pub fn own_cpu() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime)
        .try_into()
        .unwrap_or_default()
}

/// How many processes of a group are watched at a time. A judgement: a server with a process for
/// each processor, and then some.
const PROCESSES_MAX: usize = 256;

#[cfg(test)]
mod tests;
