//! What a run comes to.

use crate::distribution::Distribution;
use crate::health::{Health, Limit};
use crate::results::{Results, Verdict};

/// Why a run has failed, in sentences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Complaints {
    /// Those that are about the server whatever the load tester did, such as its memory.
    pub of_server: Vec<String>,
    /// Those on figures that the load tester is part of, such as latency, and all regressions:
    /// where the load tester was the limit, they tell of it rather than of the server.
    pub of_both: Vec<String>,
}

impl Complaints {
    /// Returns all of them.
    pub fn all(self) -> Vec<String> {
        [self.of_server, self.of_both].concat()
    }
}

/// Decides what a run comes to: of all that applies, the worst. `ended` is why it ended early, if
/// it did, `complaints` are thresholds that were crossed and regressions, and `incomparable` tells
/// why there can be no regressions. Where the load tester was the limit, complaints about both make
/// the run inconclusive, and are told with that.
pub fn verdict(
    results: &Results,
    ended: Option<Verdict>,
    complaints: Complaints,
    incomparable: Option<String>,
) -> Verdict {
    match ended {
        Some(
            verdict @ (Verdict::Broken { .. } | Verdict::Stopped { .. } | Verdict::Interrupted),
        ) => verdict,
        _ if !complaints.of_server.is_empty() => Verdict::Failed {
            why: complaints.all(),
        },
        _ if !complaints.of_both.is_empty() => {
            let why = complaints.all();
            match bound(results) {
                Some(bound) => Verdict::Inconclusive {
                    why: format!("{bound}; so it may be the reason why {}", why.join("; ")),
                },
                None => Verdict::Failed { why },
            }
        }
        Some(verdict) => verdict,
        None => {
            let bound = bound(results);
            let why = nothing_measured(results).or(incomparable).or(bound);
            why.map_or(Verdict::Passed, |why| Verdict::Inconclusive { why })
        }
    }
}

/// Tells that the load tester was the limit, if it was.
fn bound(results: &Results) -> Option<String> {
    let why = results.health.bound_by.as_ref()?;
    Some(format!(
        "generator-bound: the load tester was the limit, since {why}"
    ))
}

/// Makes a verdict worse by what went wrong after it, unless it is worse already.
pub fn outweigh(verdict: &mut Verdict, later: Verdict) {
    if !matches!(verdict, Verdict::Broken { .. } | Verdict::Stopped { .. }) {
        *verdict = later;
    }
}

/// Tells why there are no figures, if there are none.
pub fn nothing_measured(results: &Results) -> Option<String> {
    let counts = &results.counts;
    if counts.load_s == 0.0 && !results.load().warmup.is_zero() {
        return Some("nothing was measured: the load was over before the warm-up was".to_owned());
    }
    let is_nothing = counts.sent == 0 || counts.load_s == 0.0;
    is_nothing.then(|| "nothing was measured: no message was sent".to_owned())
}

/// Tells why the figures tell of the load tester rather than of the server, if they do.
pub fn bound_by(results: &Results) -> Option<String> {
    let (health, counts) = (&results.health, &results.counts);
    if let Some(why) = kept_from_running(results) {
        return Some(why);
    }
    if let (Some(lateness), Some(delivery)) =
        (health.lateness, results.latency[Distribution::Delivery])
        && lateness.p90 > LATENESS_PART * delivery.p90
    {
        return Some("it sent messages so late that this is most of their latency".to_owned());
    }
    if health.missed as f64 > MISSED_PART * (counts.sent + counts.unsent) as f64 {
        return Some(format!(
            "it came too late to send {} of the messages that the schedule had",
            health.missed
        ));
    }
    if let Some(ceiling) = health
        .ceiling
        .filter(|&ceiling| counts.deliveries_per_s > CEILING_PART * ceiling)
    {
        return Some(format!(
            "with a server that takes no time it would make {:.1} million deliveries a second",
            ceiling / 1e6
        ));
    }
    busy(results)
}

/// Tells by what a run on a calibrated load tester was limited, or `None` without a calibration.
/// Asks what [`bound_by`] found, which is in the results by then.
pub fn limit(results: &Results) -> Option<Limit> {
    let health = &results.health;
    health.ceiling?;
    Some(if health.bound_by.is_some() {
        Limit::LoadTester
    } else if health
        .achieved
        .is_some_and(|achieved| achieved >= KEPT_PART)
    {
        Limit::Schedule
    } else {
        Limit::Server
    })
}

/// Tells that the load tester did not run for much of the load, if that was so.
fn kept_from_running(results: &Results) -> Option<String> {
    let Health {
        observed_s,
        paused_s,
        untimed_count,
        processor_wait: wait,
        ..
    } = results.health;
    if paused_s > PAUSED_PART * observed_s {
        return Some(format!(
            "it did not run for {paused_s:.2} of the {observed_s:.2} s of the load, in pauses of its own"
        ));
    }
    let timed = results.latency[Distribution::Delivery].map_or(0, |delivery| delivery.count);
    if untimed_count as f64 > UNTIMED_PART * (timed + untimed_count) as f64 {
        return Some(format!(
            "its own pauses are part of {untimed_count} of {} latencies",
            timed + untimed_count
        ));
    }
    // A moment is too short to tell.
    if observed_s < LOAD_MIN_S {
        return None;
    }
    if let Some(delay) = wait
        .run_delay_s
        .filter(|delay| *delay > RUN_DELAY_PART * observed_s)
    {
        return Some(format!(
            "it waited for a processor for {delay:.2} of the {observed_s:.2} s of the load"
        ));
    }
    wait.steal_s.filter(|steal| *steal > STEAL_PART * observed_s).map(|steal| {
        format!(
            "the processors were kept from this machine for {steal:.2} of the {observed_s:.2} s of the load"
        )
    })
}

/// Tells that the load tester had no time left, if that was so.
fn busy(results: &Results) -> Option<String> {
    let Results {
        health: Health { cpu, achieved, .. },
        counts,
        drops,
        server,
        ..
    } = results;
    // With a schedule it looks at the time all the time, and a moment is too short to tell.
    if *cpu <= BUSY || counts.load_s < LOAD_MIN_S || achieved.is_some() {
        return None;
    }
    let took = format!("it took {:.0} % of a processor", 100.0 * cpu);
    match server.and_then(|server| server.cpus) {
        None => Some(took),
        Some(cpus) if cpus < *cpu => Some(format!("{took}, and the server {:.0} %", 100.0 * cpus)),
        // What is dropped, a client was too slow to read.
        Some(_) if drops.dropped > 0 => Some(format!(
            "{took}, so it may have read too slowly what was dropped"
        )),
        Some(_) => None,
    }
}

/// From which part of the ceiling on the load tester was the limit. A judgement: runs differ by
/// some percent.
pub const CEILING_PART: f64 = 0.9;

/// From which part of the latency on lateness is what it tells of, at the 90th percentile: rarer
/// hiccups are told, but change no verdict. A judgement.
const LATENESS_PART: f64 = 0.5;

/// From which part of a processor on the load tester, which has one thread, is too busy to have
/// been waiting for the server, unless that was busier. A judgement: the rest goes by between two
/// events of a single socket.
const BUSY: f64 = 0.8;

/// Which part of the load the load tester may pause. A judgement: that much too low may deliveries
/// per second be, and less than that, runs of the same server differ.
const PAUSED_PART: f64 = 0.05;

/// Which part of the latencies may be unknown for pauses. With more than that, the 99th percentile
/// is among those that are not known.
const UNTIMED_PART: f64 = 0.01;

/// Which part of the load the load tester may wait for a processor. Measured with a busy server: 0.10
/// to 0.28 of the load on two processors, 0.41 on one that they share.
const RUN_DELAY_PART: f64 = 0.33;

/// Which part of the load the hypervisor may keep a processor from the machine. As
/// for pauses: the server is slower by as much.
pub const STEAL_PART: f64 = 0.05;

/// Which part of a schedule is sent when it is kept. As [`MISSED_PART`].
const KEPT_PART: f64 = 0.99;

/// How long a load lasts at least from which anything can be told of processors, in seconds. A
/// judgement.
const LOAD_MIN_S: f64 = 0.5;

/// Which part of a schedule it may come too late for. A judgement.
const MISSED_PART: f64 = 0.01;

#[cfg(test)]
mod tests;
