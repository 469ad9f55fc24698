//! What results are held to.

use chat_results::judge::{Thresholds, verdict};
use chat_results::{Results, Verdict};

use crate::baseline::Baseline;

/// What results are held to, besides the promise.
#[derive(Clone, Debug, Default)]
pub struct Standard {
    /// Conditions under which a run has failed.
    pub thresholds: Thresholds,
    /// The results of an earlier run, than which they should not be worse.
    pub baseline: Option<Baseline>,
    /// How much worse is no more than noise, as a part of what it was.
    pub noise: f64,
}

impl Standard {
    /// Decides what results come to. `ended` is why the run ended early, if it did.
    pub fn judge(&self, results: &Results, ended: Option<Verdict>) -> Verdict {
        let mut complaints = self.thresholds.crossed(results);
        let mut incomparable = None;
        if let Some(baseline) = &self.baseline {
            incomparable = baseline.incomparable(results);
            if incomparable.is_none() {
                complaints
                    .of_both
                    .extend(baseline.regressions(results, self.noise));
            }
        }
        verdict(results, ended, complaints, incomparable)
    }
}
