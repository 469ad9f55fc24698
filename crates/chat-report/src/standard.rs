//! What results are held to.

use chat_results::judge::{Change, Compared, Thresholds, verdict};
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
            incomparable = baseline.incomparable(results.load());
            if incomparable.is_none() {
                let compared = baseline.compare(results, self.noise).into_iter();
                let worse = compared.filter(|it| it.change == Change::Worse);
                complaints.of_both.extend(worse.map(|it| it.told));
            }
        }
        verdict(results, ended, complaints, incomparable)
    }

    /// Compares results with the baseline, if there is one of the same load: what has not changed and
    /// what is better, too.
    pub fn compare(&self, results: &Results) -> Vec<Compared> {
        let baseline = self.baseline.as_ref();
        let baseline = baseline.filter(|it| it.incomparable(results.load()).is_none());
        baseline.map_or_else(Vec::new, |it| it.compare(results, self.noise))
    }
}
