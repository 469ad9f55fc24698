//! What a run comes to.

use crate::distribution::Distribution;
use crate::results::{Health, Results, Verdict};

/// Decides what a run comes to: of all that applies, the worst. `ended` is why it ended early, if
/// it did, `complaints` are thresholds that were crossed and regressions, and `incomparable` tells
/// why there can be none of these.
pub fn verdict(
    results: &Results,
    ended: Option<Verdict>,
    complaints: Vec<String>,
    incomparable: Option<String>,
) -> Verdict {
    match ended {
        Some(
            verdict @ (Verdict::Broken { .. } | Verdict::Stopped { .. } | Verdict::Interrupted),
        ) => verdict,
        _ if !complaints.is_empty() => Verdict::Failed { why: complaints },
        Some(verdict) => verdict,
        None => {
            let bound = results.health.bound_by.as_ref();
            let bound = bound
                .map(|why| format!("generator-bound: the load tester was the limit, since {why}"));
            let why = nothing_measured(results).or(incomparable).or(bound);
            why.map_or(Verdict::Passed, |why| Verdict::Inconclusive { why })
        }
    }
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
    if counts.sent == 0 {
        return Some("nothing was measured: no message was sent".to_owned());
    }
    (counts.load_s == 0.0)
        .then(|| "nothing was measured: the load was over before the warm-up was".to_owned())
}

/// Tells why the figures tell of the load tester rather than of the server, if they do.
pub fn bound_by(results: &Results) -> Option<String> {
    let (health, counts) = (&results.health, &results.counts);
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
const CEILING_PART: f64 = 0.9;

/// From which part of the latency on lateness is what it tells of, at the 90th percentile: rarer
/// hiccups are told, but change no verdict. A judgement.
const LATENESS_PART: f64 = 0.5;

/// From which part of a processor on the load tester, which has one thread, is too busy to have
/// been waiting for the server, unless that was busier. A judgement: the rest goes by between two
/// events of a single socket.
const BUSY: f64 = 0.8;

/// How long a load lasts at least from which anything can be told of processors, in seconds. A
/// judgement.
const LOAD_MIN_S: f64 = 0.5;

/// Which part of a schedule it may come too late for. A judgement.
const MISSED_PART: f64 = 0.01;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::Summary;
    use crate::results::{Drops, ServerSeen};
    use crate::sample::results;

    /// Returns results of ten seconds without a schedule, in which the load tester took this much
    /// of a processor, and the server that much.
    fn busy_results(cpu: f64, server_cpus: f64) -> Results {
        let mut results = results();
        results.counts.load_s = 10.0;
        results.health.cpu = cpu;
        results.drops = Drops::default();
        results.server = Some(ServerSeen {
            cpus: Some(server_cpus),
            ..ServerSeen::default()
        });
        results
    }

    #[track_caller]
    fn check_bound(results: &Results, told: Option<&str>) {
        assert_eq!(bound_by(results).as_deref(), told);
    }

    #[test]
    fn who_has_no_time_left_is_the_limit_unless_the_server_has_less() {
        check_bound(&busy_results(0.79, 0.1), None);
        check_bound(
            &busy_results(0.9, 0.7),
            Some("it took 90 % of a processor, and the server 70 %"),
        );
        check_bound(&busy_results(0.9, 1.1), None);
        check_bound(
            &Results {
                server: None,
                ..busy_results(0.9, 0.0)
            },
            Some("it took 90 % of a processor"),
        );
        let mut dropped = busy_results(0.9, 1.1);
        dropped.drops.dropped = 1;
        check_bound(
            &dropped,
            Some("it took 90 % of a processor, so it may have read too slowly what was dropped"),
        );
        let mut short = busy_results(0.9, 0.7);
        short.counts.load_s = 0.4;
        check_bound(&short, None);
        let mut scheduled = busy_results(1.0, 0.7);
        scheduled.health.achieved = Some(1.0);
        check_bound(&scheduled, None);
    }

    #[test]
    fn who_is_near_its_ceiling_is_the_limit() {
        let mut results = busy_results(0.5, 0.5);
        results.health.ceiling = Some(2.3e6);
        check_bound(&results, None);
        results.health.ceiling = Some(2.2e6);
        check_bound(
            &results,
            Some("with a server that takes no time it would make 2.2 million deliveries a second"),
        );
    }

    #[test]
    fn who_sends_late_or_not_at_all_is_the_limit() {
        let mut results = busy_results(0.5, 0.5);
        results.health.lateness = Some(Summary {
            p90: 199.0,
            p99: 3999.0,
            ..Summary::default()
        });
        check_bound(&results, None);
        results.health.lateness = Some(Summary {
            p90: 201.0,
            ..Summary::default()
        });
        check_bound(
            &results,
            Some("it sent messages so late that this is most of their latency"),
        );
        let mut results = busy_results(0.5, 0.5);
        results.health.missed = 10;
        check_bound(&results, None);
        results.health.missed = 11;
        check_bound(
            &results,
            Some("it came too late to send 11 of the messages that the schedule had"),
        );
    }

    #[test]
    fn the_worst_that_applies_is_the_verdict() {
        let measured = || busy_results(0.5, 0.5);
        let bound = || {
            let mut results = measured();
            results.health.bound_by = Some("it was".to_owned());
            results
        };
        let why = || "because".to_owned();
        let failed = Verdict::Failed { why: vec![why()] };
        let unresolved = Verdict::Inconclusive {
            why: "unresolved".to_owned(),
        };
        for ended in [
            Verdict::Broken { why: why() },
            Verdict::Stopped { why: why() },
            Verdict::Interrupted,
        ] {
            assert_eq!(
                verdict(&bound(), Some(ended.clone()), vec![why()], Some(why())),
                ended
            );
        }
        assert_eq!(
            verdict(&bound(), Some(unresolved.clone()), vec![why()], Some(why())),
            failed
        );
        assert_eq!(verdict(&bound(), None, vec![why()], None), failed);
        assert_eq!(
            verdict(&bound(), Some(unresolved.clone()), Vec::new(), Some(why())),
            unresolved
        );
        assert_eq!(
            verdict(&bound(), None, Vec::new(), Some(why())),
            Verdict::Inconclusive { why: why() }
        );
        let told = "generator-bound: the load tester was the limit, since it was".to_owned();
        assert_eq!(
            verdict(&bound(), None, Vec::new(), None),
            Verdict::Inconclusive { why: told }
        );
        assert_eq!(
            verdict(&measured(), None, Vec::new(), None),
            Verdict::Passed
        );
    }

    #[test]
    fn without_figures_nothing_passes() {
        let mut nothing = busy_results(0.0, 0.0);
        nothing.counts.load_s = 0.0;
        assert!(
            matches!(verdict(&nothing, None, Vec::new(), None), Verdict::Inconclusive { why } if why.contains("warm-up"))
        );
        nothing.counts.sent = 0;
        assert!(
            matches!(verdict(&nothing, None, Vec::new(), None), Verdict::Inconclusive { why } if why.contains("no message"))
        );
    }

    #[test]
    fn what_goes_wrong_later_outweighs_all_but_the_worst() {
        let stopped = || Verdict::Stopped {
            why: "the disk is full".to_owned(),
        };
        for mild in [
            Verdict::Passed,
            Verdict::Interrupted,
            Verdict::Failed { why: Vec::new() },
        ] {
            let mut verdict = mild;
            outweigh(&mut verdict, stopped());
            assert_eq!(verdict, stopped());
        }
        let mut broken = Verdict::Broken {
            why: "it is".to_owned(),
        };
        outweigh(&mut broken, stopped());
        assert!(matches!(broken, Verdict::Broken { .. }));
    }
}
