//! What a run has brought.

use std::io;

use chat_load::Latencies;
use chat_results::{Asked, Order, Results};

use crate::failure::Failure;

/// What a run has brought.
#[derive(Debug)]
pub struct Measured {
    /// What was found until the end, or as far as the run came. Its verdict is that of the run
    /// alone: there are no thresholds and no earlier run.
    pub results: Results,
    /// How long things took, as whole distributions.
    pub latencies: Latencies,
    /// Why the run ended early, if it did.
    pub failure: Option<Failure>,
    /// Why the run could not be recorded, if it was to be.
    pub unrecorded: Option<io::Error>,
}

impl Measured {
    /// Asserts, for a test, that the run came to its end and one order of all messages explains what
    /// every client received.
    ///
    /// Drops of whole messages are allowed, see [`Drops`](chat_results::Drops) for how many there
    /// were. That the load tester itself was the limit is allowed, too: it says nothing of the order.
    ///
    /// # Panics
    ///
    /// When it is not so. The message is the story of how the promise was broken, or of why nobody
    /// can tell, with the seed that repeats it.
    #[track_caller]
    pub fn assert_proved(&self) {
        let Asked { server, load, .. } = &self.results.asked;
        let failure = self.failure.as_ref();
        if let Some(failure) = failure.filter(|it| !it.is_about_rules_alone()) {
            panic!("{server}: {failure} (seed {})", load.seed);
        }
        assert!(
            matches!(self.results.order, Order::Proved { .. }),
            "{server}: the order is not proved, but {} (seed {})",
            self.results.order.word(),
            load.seed
        );
    }

    /// Asserts, for a test, that the server kept all rules of the specification that the run tested:
    /// those of the order, as [`assert_proved`](Self::assert_proved) does, and those on leaving, on
    /// standard output and on the end after SIGTERM.
    ///
    /// # Panics
    ///
    /// When it is not so. The message says which rule was broken, and how.
    #[track_caller]
    pub fn assert_kept(&self) {
        self.assert_proved();
        if let Some(violation) = self.results.violations.first() {
            panic!("{}: {violation}", self.results.asked.server);
        }
    }
}
