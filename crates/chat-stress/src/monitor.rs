//! What is looked at all the time during a run: the server, this process, the progress for others.

use std::io;
use std::time::{Duration, Instant};

use chat_results::{Count, Load, Observer, Phase, ProcessorWait, ServerSeen, Tick, Timeline};
use chat_target::{ProcessorTimes, Usage};
use chat_trace::Conviction;

use crate::chronicle::Chronicle;

/// Looks at everything when a repetition says so.
pub(crate) struct Monitor<'a> {
    /// What there is to watch of the servers, which is nothing of those that run elsewhere.
    usages: Vec<Usage>,
    observer: &'a mut dyn Observer,
    load: Load,
    iteration: u32,
    phase: Phase,
    /// When the load that is under way began, and what this thread had taken and waited for.
    load_from: Option<(Instant, ProcessorTimes)>,
    loads: OwnUse,
    chronicle: Chronicle,
}

impl<'a> Monitor<'a> {
    /// Makes one that looks at servers through `usages`.
    pub(crate) fn new(usages: Vec<Usage>, observer: &'a mut dyn Observer, load: Load) -> Self {
        Self {
            usages,
            observer,
            load,
            iteration: 0,
            phase: Phase::Join,
            load_from: None,
            loads: OwnUse::default(),
            chronicle: Chronicle::default(),
        }
    }

    /// Notes that a repetition begins.
    pub(crate) fn begin(&mut self, iteration: u32) -> io::Result<()> {
        self.iteration = iteration;
        self.observer.began(iteration, &self.load)
    }

    /// Notes that it came to its end.
    pub(crate) fn completed(&mut self, count: &Count) -> io::Result<()> {
        self.observer.completed(self.iteration, count)
    }

    /// Notes that the promise was broken.
    pub(crate) fn violated(&mut self, Conviction { class, story }: &Conviction) {
        self.observer.violated(self.iteration, class, story);
    }

    /// Tells something odd.
    pub(crate) fn note(&mut self, note: &str) {
        self.observer.noted(note);
    }

    /// Looks at everything.
    pub(crate) fn tick(&mut self, tick: &Tick) {
        let last_phase = std::mem::replace(&mut self.phase, tick.phase);
        if tick.phase != last_phase {
            self.end_load();
            if tick.phase == Phase::Load {
                self.load_from = Some((Instant::now(), ProcessorTimes::now()));
                self.usages.iter_mut().for_each(Usage::begin_load);
            }
        }
        self.usages.iter_mut().for_each(Usage::sample);
        if last_phase == Phase::Load {
            let rss_kib = sum_of_known(self.usages.iter().map(Usage::rss_kib));
            self.chronicle.tick(tick, rss_kib);
        }
        self.observer.ticked(self.iteration, &self.load, tick);
    }

    /// Returns what was seen of the servers together, which were part in so many deliveries during the
    /// load.
    pub(crate) fn seen(&mut self, delivered: u64) -> Option<ServerSeen> {
        self.end_load();
        let seen = self.usages.iter_mut().map(|usage| usage.seen(delivered));
        let seen: Option<Vec<ServerSeen>> = seen.collect();
        seen?.into_iter().reduce(ServerSeen::and)
    }

    /// Returns how the load went over time.
    pub(crate) fn take_timeline(&mut self) -> Timeline {
        std::mem::take(&mut self.chronicle).timeline
    }

    /// Returns what this thread, which does all the work, took and waited for during the load.
    pub(crate) fn own_use(&self) -> OwnUse {
        self.loads
    }

    fn end_load(&mut self) {
        if let Some((from, before)) = self.load_from.take() {
            let now = ProcessorTimes::now();
            self.loads.time += from.elapsed();
            self.loads.cpu += now.cpu.saturating_sub(before.cpu);
            let wait = now.waited_since(&before);
            self.loads.wait = Some(self.loads.wait.map_or(wait, |earlier| earlier.and(wait)));
            self.usages.iter_mut().for_each(Usage::end_load);
        }
    }
}

/// Returns the sum of what is known, if it is known of all and there are any.
fn sum_of_known(parts: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    let parts: Option<Vec<u64>> = parts.collect();
    parts.filter(|it| !it.is_empty()).map(|it| it.iter().sum())
}

/// What this thread took and waited for in all loads of a run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OwnUse {
    /// How long the loads took.
    pub(crate) time: Duration,
    /// Processor time of this thread in them.
    pub(crate) cpu: Duration,
    /// What processors were waited for in them; `None` before the first has ended.
    pub(crate) wait: Option<ProcessorWait>,
}
