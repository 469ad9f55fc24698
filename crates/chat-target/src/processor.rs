//! What this thread got of the processors, and what it had to wait for.

use std::time::Duration;

use chat_results::ProcessorWait;
use procfs::process::Process;
use procfs::{CpuPressure, Current, CurrentSI, KernelStats};
use rustix::thread::gettid;

use crate::usage::own_cpu;

/// What has added up until a moment, for the thread that looked.
#[derive(Clone, Copy, Debug)]
pub struct ProcessorTimes {
    /// Processor time of this thread.
    pub cpu: Duration,
    /// How long this thread was ready to run and had no processor; `None` where the kernel does not
    /// tell (`/proc/self/task/*/schedstat`).
    run_delay: Option<Duration>,
    /// How long a hypervisor kept processors from this machine, over all of them (`/proc/stat`).
    steal: Option<Duration>,
    /// How long any task of this machine waited for a processor (`/proc/pressure/cpu`).
    pressure: Option<Duration>,
    processor_count: usize,
}

impl ProcessorTimes {
    /// Looks now. Reads three small files: some tens of microseconds.
    pub fn now() -> Self {
        let stat = KernelStats::current().ok();
        Self {
            cpu: own_cpu(),
            run_delay: run_delay(),
            steal: stat.as_ref().and_then(|stat| stat.total.steal_duration()),
            pressure: CpuPressure::current()
                .ok()
                .map(|pressure| Duration::from_micros(pressure.some.total)),
            processor_count: stat.map_or(1, |stat| stat.cpu_time.len().max(1)),
        }
    }

    /// Returns what was waited for since `earlier`.
    pub fn waited_since(&self, earlier: &Self) -> ProcessorWait {
        let since = |of: fn(&Self) -> Option<Duration>| {
            Some(of(self)?.saturating_sub(of(earlier)?).as_secs_f64())
        };
        ProcessorWait {
            run_delay_s: since(|times| times.run_delay),
            steal_s: since(|times| times.steal).map(|all| all / self.processor_count as f64),
            pressure_s: since(|times| times.pressure),
        }
    }
}

/// Returns how long this thread was ready to run and had no processor.
fn run_delay() -> Option<Duration> {
    let thread = Process::myself()
        .ok()?
        .task_from_tid(gettid().as_raw_nonzero().get())
        .ok()?;
    let nanos = thread.schedstat().ok()?.run_delay;
    Some(Duration::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Instant;

    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    use super::*;

    #[test]
    fn who_shares_a_processor_waits_for_it() {
        let mut allowed = sched_getaffinity(None).unwrap();
        let first = (0..CpuSet::MAX_CPU)
            .find(|&cpu| allowed.is_set(cpu))
            .unwrap();
        allowed.clear();
        allowed.set(first);
        let waited = thread::spawn(move || {
            // Threads keep to the processor of the thread that starts them.
            sched_setaffinity(None, &allowed).unwrap();
            let spin = || {
                let start = Instant::now();
                while start.elapsed() < Duration::from_millis(300) {}
            };
            let other = thread::spawn(spin);
            let before = ProcessorTimes::now();
            spin();
            let waited = ProcessorTimes::now().waited_since(&before);
            other.join().unwrap();
            waited
        })
        .join()
        .unwrap();
        // Half of the time is fair.
        assert!(waited.run_delay_s.unwrap() > 0.05, "{waited:?}");
    }
}
