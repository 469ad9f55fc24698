//! What is wrong with options that are each right.

use chat_load::burst_len_min;
use chat_report::{Baseline, atomic_file};
use chat_results::{Check, Quantity};
use chat_trace::{CLIENTS_MAX, LOAD_MAX, MEMORY_MAX, Topology, memory_len};

use crate::args::{Args, MESSAGES};

impl Args {
    /// Tells what is wrong with options that are each right.
    pub(super) fn problem(&self) -> Option<String> {
        if self.isolation && !self.load().has_antagonists() {
            return Some(
                "--isolation needs --stalled, --slow or --churn: it tells how much the others suffer from those".to_owned(),
            );
        }
        if self.record.is_some() && self.check() != Check::Full {
            return Some(
                "--record needs --check full, since only then there is something to record"
                    .to_owned(),
            );
        }
        self.problem_of_numbers()
            .or_else(|| self.problem_of_files())
            .or_else(|| self.load_baseline().err().map(|error| error.to_string()))
    }

    /// Tells what is wrong with files that can each be written.
    fn problem_of_files(&self) -> Option<String> {
        let baseline = self.save_baseline.as_ref();
        if let Some(Err(error)) = baseline.map(|name| Baseline::try_save(&self.baseline_dir, name))
        {
            return Some(error.to_string());
        }
        let files = [
            ("--json", self.json.clone()),
            ("--csv", self.csv.clone()),
            ("--hdr", self.hdr.clone()),
            ("--record", self.record.clone()),
            (
                "--save-baseline",
                baseline.map(|name| Baseline::path(&self.baseline_dir, name)),
            ),
        ];
        let files: Vec<_> = files
            .into_iter()
            .filter_map(|(option, path)| path.map(|path| (option, path)))
            .collect();
        files
            .iter()
            .enumerate()
            .find_map(|(place, (option, path))| {
                let (other, _) = files[..place]
                    .iter()
                    .find(|(_, other)| atomic_file::is_same_file(path, other))?;
                Some(format!(
                    "{other} and {option} write to one file, {}: one of them would be lost",
                    path.display()
                ))
            })
    }

    /// Tells what is wrong with numbers that are each right.
    fn problem_of_numbers(&self) -> Option<String> {
        let clients = u64::from(self.publishers) * (1 + u64::from(self.subscribers))
            + u64::from(self.slow.count);
        if clients > CLIENTS_MAX.into() {
            return Some(format!(
                "{clients} clients are too many: publishers times (1 + subscribers) and slow ones may be up to {CLIENTS_MAX}"
            ));
        }
        let cells = clients * u64::from(self.publishers);
        if cells > CELLS_MAX {
            return Some(format!(
                "{clients} clients of {} publishers are too many: clients times publishers may be up to {CELLS_MAX}",
                self.publishers
            ));
        }
        let messages = u64::from(self.publishers) * u64::from(self.messages.unwrap_or(MESSAGES));
        if messages > LOAD_MAX.into() {
            return Some(format!(
                "{messages} messages are too many: publishers times messages may be up to {LOAD_MAX}"
            ));
        }
        let load = self.load();
        let memory_len = memory_len(
            Topology::of(&load),
            self.check(),
            messages,
            messages.div_ceil(burst_len_min(load.pacing).into()),
        );
        if load.messages.is_some() && memory_len > MEMORY_MAX {
            let instead = if self.check() == Check::Full {
                "--check basic, or "
            } else {
                ""
            };
            return Some(format!(
                "{messages} messages to {clients} clients take {} to check, which is more than {}: take {instead}fewer messages in more \
                 repetitions",
                Quantity::Memory.show((memory_len >> 10) as f64),
                Quantity::Memory.show((MEMORY_MAX >> 10) as f64)
            ));
        }
        None
    }
}

/// How many pairs of a client and a publisher there can be: what is known of each takes eight
/// bytes. A judgement: 512 MiB.
const CELLS_MAX: u64 = 1 << 26;
