//! The rows of the load tester itself.

use std::io::{self, Write};

use chat_results::{Health, Limit, Quantity, Verdict};

use super::{Table, many};

impl<W: Write> Table<'_, W> {
    /// Tells how well the load tester itself did, and with a calibration, what the limit was.
    pub(super) fn health(&mut self, health: &Health, verdict: &Verdict) -> io::Result<()> {
        let cpu = health.cpu_us_per_delivery.map_or_else(String::new, |cpu| {
            format!("{} per delivery, ", Quantity::Effort.show(cpu))
        });
        let mut text = format!("{cpu}{:.0} % of a processor", 100.0 * health.cpu);
        if let Some(achieved) = health.achieved {
            text += &format!("; sent {} of the schedule", Quantity::Ratio.show(achieved));
        }
        if let Some(lateness) = &health.lateness {
            let [p50, p99] = [lateness.p50, lateness.p99].map(|time| Quantity::Time.show(time));
            text += &format!(", {p50} late as a rule (p50), {p99} at p99");
        }
        if let Some(ceiling) = health.ceiling {
            text += &format!("; can do {} here", Quantity::Rate.show(ceiling));
        }
        self.row("load tester", &text)?;
        if let Some(text) = waits(health) {
            self.row("", &text)?;
        }
        if let (Some(limit), Some(used)) = (health.limit, health.ceiling_used_ratio) {
            let at = format!("at {:.0} % of what it can do", 100.0 * used);
            let text = match limit {
                Limit::LoadTester => {
                    format!("{}, {at} with a server that takes no time", limit.name())
                }
                _ => format!("{} (the load tester is {at})", limit.name()),
            };
            self.row("limit", &text)?;
        }
        match (&health.bound_by, verdict) {
            // The verdict says the same.
            (None, _) | (_, Verdict::Inconclusive { .. }) => Ok(()),
            (Some(why), _) => self.row(
                "",
                &format!("generator-bound: it was the limit, since {why}"),
            ),
        }
    }
}

/// Tells what the load tester waited for, if that is worth a line.
fn waits(health: &Health) -> Option<String> {
    let mut parts = Vec::new();
    if health.pause_count > 0 {
        parts.push(format!(
            "did not run for {:.2} s in {}; {} left out for that",
            health.paused_s,
            many(health.pause_count, "pause"),
            many(health.untimed_count, "latency"),
        ));
    }
    let wait = &health.processor_wait;
    let waits = [
        (wait.run_delay_s, "waited for a processor"),
        (wait.steal_s, "the machine was kept from its processors"),
        (wait.pressure_s, "somebody here waited for one"),
    ];
    for (time, what) in waits {
        if let Some(time) = time.filter(|time| *time > TOLD_PART * health.observed_s) {
            parts.push(format!("{what} for {time:.2} s"));
        }
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// From which part of the load on it is told that processors were waited for. A judgement.
const TOLD_PART: f64 = 0.05;
