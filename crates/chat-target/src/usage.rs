//! The server seen from outside: its processor time, memory, threads and open files. And what this
//! process takes itself.

use std::time::{Duration, Instant};

use chat_results::ServerSeen;
use procfs::process::{Process, all_processes};
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
    /// Whether the processor time is less than it was, since the leader was gone before it was
    /// looked at.
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
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command, Stdio};
    use std::thread;

    use super::*;

    /// Starts a shell script, which prints a line when it is ready and then waits for its input to
    /// end.
    fn start(script: &str) -> Child {
        let mut command = Command::new("sh");
        command
            .args(["-c", script])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        command.spawn().unwrap()
    }

    fn spin(time: Duration) {
        let from = own_cpu();
        while own_cpu() - from < time {}
    }

    #[test]
    fn this_process_is_seen_as_it_sees_itself() {
        let mut observer = Usage::new(std::process::id());
        let process_cpu = || Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap();
        let (before, children_before) = (process_cpu(), children_cpu());
        let load_began = Instant::now();
        observer.begin_load();
        // A thread that ended has worked, too.
        thread::spawn(|| spin(SPIN_TIME)).join().unwrap();
        spin(SPIN_TIME);
        observer.end_load();
        let (own, took) = (process_cpu() - before, load_began.elapsed().as_secs_f64());
        // Other tests start processes and wait for them.
        let children = children_cpu() - children_before;
        let files: Vec<_> = (0..100)
            .map(|_| std::fs::File::open("/dev/null").unwrap())
            .collect();
        observer.sample();
        drop(files);
        let seen = observer.seen(1000).unwrap();
        let cpu = Duration::from_secs_f64(seen.cpu_us_per_delivery.unwrap() * 1000.0 / 1e6);
        assert!(
            cpu > SPIN_TIME * 2 - TICKS && cpu < own + children + TICKS,
            "{cpu:?} of {own:?} and {children:?}"
        );
        assert!(own >= SPIN_TIME * 2, "{own:?}");
        let cpus = seen.cpus.unwrap();
        assert!(
            cpus >= cpu.as_secs_f64() / took && cpus < 1000.0,
            "{seen:?} in {took} s"
        );
        assert!(
            seen.rss_before_kib > 500 && seen.rss_after_kib > 500,
            "{seen:?}"
        );
        assert!(
            seen.rss_peak_kib >= seen.rss_after_kib.max(seen.rss_before_kib),
            "{seen:?}"
        );
        assert!(seen.threads >= 2 && seen.descriptors >= 100, "{seen:?}");
    }

    #[test]
    fn a_whole_group_is_seen_until_it_is_gone() {
        let mut child = start(
            "sleep 1000 & one=$!; sleep 1000 & two=$!; echo ready; read line; kill $one $two",
        );
        let mut line = [0; 6];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut line).unwrap();
        let mut observer = Usage::new(child.id());
        observer.begin_load();
        drop(child.stdin.take());
        child.wait().unwrap();
        observer.sample();
        observer.end_load();
        let seen = observer.seen(10).unwrap();
        assert!(seen.threads >= 3, "{seen:?}");
        assert!(
            seen.rss_before_kib > 0
                && seen.rss_after_kib > 0
                && seen.rss_peak_kib >= seen.rss_before_kib,
            "{seen:?}"
        );
        assert_eq!(
            (seen.cpu_us_per_delivery, seen.cpus),
            (None, None),
            "who was gone before it was looked at may have done anything"
        );
    }

    #[test]
    fn processes_that_are_gone_keep_their_time_and_make_room() {
        let mut child = start(
            "n=0; (while [ $n -lt 100000 ]; do n=$((n+1)); done) & echo ready; read line; wait; echo over; read line",
        );
        let mut stdin = child.stdin.take().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        std::io::Read::read_exact(&mut stdout, &mut [0; 6]).unwrap();
        let mut observer = Usage::new(child.id());
        observer.begin_load();
        assert_eq!(
            observer.processes.len(),
            2,
            "one that works, or has worked and was not waited for"
        );
        observer.cpu();
        std::io::Write::write_all(&mut stdin, b"\n").unwrap();
        std::io::Read::read_exact(&mut stdout, &mut [0; 5]).unwrap();
        observer.end_load();
        assert_eq!(observer.processes.len(), 1);
        assert!(observer.cpu() >= observer.gone_cpu && observer.seen(1).unwrap().cpus.is_some());
        drop(stdin);
        child.wait().unwrap();
    }

    #[test]
    fn children_that_come_and_go_are_counted() {
        let work = "n=0; while [ $n -lt 20000 ]; do n=$((n+1)); done";
        let mut child = start(&format!(
            "echo ready; read line; for i in 1 2 3 4 5 6 7 8; do sh -c '{work}'; done; echo over; read line"
        ));
        let mut stdin = child.stdin.take().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        std::io::Read::read_exact(&mut stdout, &mut [0; 6]).unwrap();
        let mut observer = Usage::new(child.id());
        observer.begin_load();
        std::io::Write::write_all(&mut stdin, b"\n").unwrap();
        std::io::Read::read_exact(&mut stdout, &mut [0; 5]).unwrap();
        observer.end_load();
        let seen = observer.loads.1;
        // The same work, by a child that is waited for here.
        let before = children_cpu();
        for _ in 0..8 {
            Command::new("sh").args(["-c", work]).status().unwrap();
        }
        let work = children_cpu() - before;
        assert!(seen * 2 > work, "{seen:?} of {work:?}");
        drop(stdin);
        child.wait().unwrap();
    }

    /// Returns the processor time of children that this process has waited for.
    fn children_cpu() -> Duration {
        let stat = Process::myself().unwrap().stat().unwrap();
        let ticks = u64::try_from(stat.cutime + stat.cstime).unwrap();
        Duration::from_secs_f64(ticks as f64 / ticks_per_second() as f64)
    }

    #[test]
    fn of_a_process_that_was_gone_before_nothing_is_seen() {
        let mut child = start("true");
        child.wait().unwrap();
        let mut observer = Usage::new(child.id());
        observer.begin_load();
        observer.sample();
        observer.end_load();
        assert_eq!(observer.seen(10), None);
    }

    /// How long is worked. Much longer than what is allowed for ticks.
    const SPIN_TIME: Duration = Duration::from_millis(100);

    /// How far figures that come in ticks may be off: a tick each for the time in the kernel and
    /// outside, at both ends.
    const TICKS: Duration = Duration::from_millis(40);
}
