//! What is looked at all the time during a run: the server, this process, the progress for people.

use std::time::{Duration, Instant};

use chat_report::Screen;
use chat_results::{Phase, ServerSeen, Tick};
use chat_target::{Usage, own_cpu};

/// Looks at everything when a repetition says so.
#[derive(Debug)]
pub(crate) struct Monitor<'a> {
    usage: Option<Usage>,
    screen: &'a mut Screen,
    iteration: u32,
    iterations: u32,
    phase: Phase,
    /// When the load that is under way began, and how much processor time this thread had taken.
    load_from: Option<(Instant, Duration)>,
    /// How long the loads took, and how much processor time this thread took in them.
    loads: (Duration, Duration),
}

impl<'a> Monitor<'a> {
    /// Makes one that looks at a server through `usage`, if there is one.
    pub(crate) fn new(usage: Option<Usage>, screen: &'a mut Screen, iterations: u32) -> Self {
        let loads = (Duration::ZERO, Duration::ZERO);
        Self {
            usage,
            screen,
            iteration: 0,
            iterations,
            phase: Phase::Join,
            load_from: None,
            loads,
        }
    }

    /// Notes that a repetition begins.
    pub(crate) fn begin(&mut self, iteration: u32) {
        self.iteration = iteration;
    }

    /// Has something printed that is not to be mixed up with the progress.
    pub(crate) fn aside<T>(&mut self, print: impl FnOnce() -> T) -> T {
        self.screen.aside(print)
    }

    /// Looks at everything.
    pub(crate) fn tick(&mut self, tick: Tick) {
        if tick.phase != std::mem::replace(&mut self.phase, tick.phase) {
            self.end_load();
            if tick.phase == Phase::Load {
                self.load_from = Some((Instant::now(), own_cpu()));
                self.usage.iter_mut().for_each(Usage::begin_load);
            }
        }
        self.usage.iter_mut().for_each(Usage::sample);
        self.screen.update(self.iteration, self.iterations, &tick);
    }

    /// Returns what was seen of the server, which was part in so many deliveries during the load.
    pub(crate) fn seen(&mut self, delivered: u64) -> Option<ServerSeen> {
        self.end_load();
        self.usage.as_mut().and_then(|usage| usage.seen(delivered))
    }

    /// Returns how much processor time this thread, which does all the work, took during the load,
    /// and how long that was.
    pub(crate) fn own_cpu(&self) -> (Duration, Duration) {
        (self.loads.1, self.loads.0)
    }

    fn end_load(&mut self) {
        if let Some((from, cpu)) = self.load_from.take() {
            self.loads.0 += from.elapsed();
            self.loads.1 += own_cpu().saturating_sub(cpu);
            self.usage.iter_mut().for_each(Usage::end_load);
        }
    }
}
