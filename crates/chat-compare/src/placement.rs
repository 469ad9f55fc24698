//! On which processors everything runs.

use chat_results::comparison::Placement;
use rustix::io::Result;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Keeps this thread, and all that it starts meanwhile, where it was placed.
#[derive(Debug)]
pub(crate) struct Placed {
    before: Option<CpuSet>,
}

impl Placed {
    /// Places this thread.
    pub(crate) fn at(placement: Placement) -> Result<Self> {
        if placement == Placement::AllProcessors {
            return Ok(Self { before: None });
        }
        let before = sched_getaffinity(None)?;
        let mut one = CpuSet::new();
        // The first processor has the most interrupts.
        let last = (0..CpuSet::MAX_CPU).rev().find(|&cpu| before.is_set(cpu));
        one.set(last.unwrap_or(0));
        sched_setaffinity(None, &one)?;
        Ok(Self {
            before: Some(before),
        })
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // It was allowed before, and there is nobody to tell otherwise.
            let _ = sched_setaffinity(None, before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_processor_is_left_and_all_come_back() {
        let before = sched_getaffinity(None).unwrap().count();
        let placed = Placed::at(Placement::OneProcessor).unwrap();
        assert_eq!(sched_getaffinity(None).unwrap().count(), 1);
        drop(placed);
        assert_eq!(sched_getaffinity(None).unwrap().count(), before);
    }
}
