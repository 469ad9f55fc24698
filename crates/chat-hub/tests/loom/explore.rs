use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use loom::model::Builder;

/// Runs a model in every order of its steps, or in those of at most `preemption_bound` preemptions.
/// Each of the moments must come.
#[track_caller]
pub(crate) fn explore(
    preemption_bound: Option<usize>,
    moments: &[&'static Moment],
    model: impl Fn() + Send + Sync + 'static,
) {
    let order_count = Arc::new(AtomicU64::new(0));
    let mut builder = Builder::new();
    builder.preemption_bound = preemption_bound;
    builder.check({
        let order_count = Arc::clone(&order_count);
        move || {
            order_count.fetch_add(1, Ordering::Relaxed);
            model();
        }
    });
    println!("{} orders", order_count.load(Ordering::Relaxed));
    for moment in moments {
        assert!(
            moment.count.load(Ordering::Relaxed) > 0,
            "a model proves nothing in which it never happens that {}",
            moment.what
        );
    }
}

/// What must happen in some order, or the model is not about what it says. It is no step of a
/// model, so it is not loom's.
pub(crate) struct Moment {
    what: &'static str,
    count: AtomicU64,
}

impl Moment {
    pub(crate) const fn new(what: &'static str) -> Self {
        Self {
            what,
            count: AtomicU64::new(0),
        }
    }

    pub(crate) fn comes(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }
}

/// No bound on preemptions.
pub(crate) const EVERY_ORDER: Option<usize> = None;
