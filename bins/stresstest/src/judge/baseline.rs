//! Results kept in a file, to compare later runs with.

use std::fs;
use std::io;
use std::iter;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;

use crate::file::{self, directory_of};
use crate::quantity::Quantity;
use crate::report::json;
use crate::results::{Load, Results, Summary, VERSION};

/// The results of an earlier run.
#[derive(Clone, Debug)]
pub(crate) struct Baseline {
    name: BaselineName,
    results: Results,
}

impl Baseline {
    /// Reads the baseline of this name in `dir`.
    pub(crate) fn load(dir: &Path, name: &BaselineName) -> Result<Self, BaselineError> {
        let path = name.path(dir);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(BaselineError::Missing { path, name: name.clone() });
            }
            Err(source) => return Err(BaselineError::Read { path, source }),
        };
        // The version comes first: what has another one may lack the rest.
        let parsed = serde_json::from_str(&text).and_then(|Versioned { version }| match version {
            VERSION => serde_json::from_str(&text).map(Ok),
            version => Ok(Err(version)),
        });
        match parsed {
            Ok(Ok(results)) => Ok(Self { name: name.clone(), results }),
            Ok(Err(version)) => Err(BaselineError::Version { path, version, name: name.clone() }),
            Err(source) => Err(BaselineError::Parse { path, source }),
        }
    }

    /// Keeps results as the baseline of this name in `dir`, which is made if need be, and returns the path of the file. A baseline that
    /// was there is replaced as a whole or not at all.
    pub(crate) fn save(dir: &Path, name: &BaselineName, results: &Results) -> Result<PathBuf, BaselineError> {
        let path = name.path(dir);
        match fs::create_dir_all(dir).and_then(|()| json::write(&path, results)) {
            Ok(()) => Ok(path),
            Err(source) => Err(BaselineError::Write { path, source }),
        }
    }

    /// Finds out whether the baseline of this name can be kept in `dir`, and leaves everything as it is.
    pub(crate) fn try_save(dir: &Path, name: &BaselineName) -> Result<(), BaselineError> {
        let path = name.path(dir);
        // The nearest directory that is there decides whether those below it can be made.
        let is_there = |dir: &&Path| dir.symlink_metadata().is_ok();
        let nearest = iter::successors(Some(dir), |&dir| Some(directory_of(dir))).find(is_there).unwrap_or(dir);
        file::try_write(&nearest.join(path.file_name().unwrap_or_default())).map_err(|source| BaselineError::Write { path, source })
    }

    /// Returns the file that the baseline of this name is in.
    pub(crate) fn path(dir: &Path, name: &BaselineName) -> PathBuf {
        name.path(dir)
    }

    /// Tells of each figure that is worse than it was by more than `noise`, a part of what it was, in a sentence.
    ///
    /// Drop rates are compared by their difference, which may be [`DROP_RATE_NOISE`]: what they were is often zero.
    pub(crate) fn regressions(&self, now: &Results, noise: f64) -> Vec<String> {
        let relative = FIGURES.iter().filter_map(|figure| figure.regression(&self.results, now, noise));
        let (then, now) = (self.results.drops.rate, now.drops.rate);
        // A difference that is just the noise is often a little more, as floating-point numbers are.
        let drops = (now - then > DROP_RATE_NOISE + f64::EPSILON).then(|| {
            let [then, now] = [then, now].map(|rate| Quantity::Ratio.show(rate));
            format!("the drop rate rose from {then} to {now}")
        });
        relative.chain(drops).collect()
    }

    /// Tells what makes the results of another load, so that neither can be worse than the other, if anything does.
    ///
    /// Another server is none, for comparing servers is what this is for, nor is another seed.
    pub(crate) fn incomparable(&self, now: &Results) -> Option<String> {
        let [then, now] = [&self.results.load, &now.load].map(differing_parts);
        let differences: Vec<_> = then
            .iter()
            .zip(&now)
            .filter(|((_, then), (_, now))| then != now)
            .map(|((what, then), (_, now))| format!("{what} was {then} and is {now}"))
            .collect();
        (!differences.is_empty()).then(|| format!("the baseline `{}` is of another load: {}", self.name, differences.join(", ")))
    }
}

/// The name of a baseline. It names one file of a directory, and none outside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BaselineName(
    // Invariant: 1 to NAME_LEN_MAX letters, digits, `-`, `_` and `.`, the first of which is no dot.
    String,
);

impl BaselineName {
    fn path(&self, dir: &Path) -> PathBuf {
        dir.join(format!("{self}.json"))
    }
}

impl FromStr for BaselineName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        let is_harmless = name.chars().all(|char| char.is_ascii_alphanumeric() || "-_.".contains(char));
        let is_name = is_harmless && !name.is_empty() && !name.starts_with('.') && name.len() <= NAME_LEN_MAX;
        if is_name { Ok(Self(name.to_owned())) } else { Err(NameError) }
    }
}

impl std::fmt::Display for BaselineName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text is no name of a baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to {NAME_LEN_MAX} letters, digits, `-`, `_` and `.`, and does not begin with a dot")]
pub(crate) struct NameError;

/// Why a baseline cannot be had or kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BaselineError {
    /// Nobody made it.
    #[error("there is no baseline {}: make it with --save-baseline {name}", path.display())]
    Missing {
        /// Where it would be.
        path: PathBuf,
        /// What it would be called.
        name: BaselineName,
    },
    /// The file cannot be read.
    #[error("cannot read the baseline {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file has something else.
    #[error("{} is no baseline: {source}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// Another version of this program wrote the file.
    #[error("the baseline {} has version {version}, and this is {VERSION}: make it again with --save-baseline {name}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
        /// What it is called.
        name: BaselineName,
    },
    /// The file cannot be written.
    #[error("cannot write the baseline {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Reads a noise margin in percent and returns it as a part, for [`Baseline::regressions`].
pub(crate) fn noise_from_percent(text: &str) -> Result<f64, NoiseError> {
    let percent: f64 = text.strip_suffix('%').unwrap_or(text).trim_end().parse().map_err(|_| NoiseError)?;
    if (0.0..=NOISE_PERCENT_MAX).contains(&percent) { Ok(percent / 100.0) } else { Err(NoiseError) }
}

/// A text is no noise margin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a noise margin is a number of percent from 0 to {NOISE_PERCENT_MAX}")]
pub(crate) struct NoiseError;

/// What all versions of [`Results`] have.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// A figure that is compared.
struct Figure {
    name: &'static str,
    quantity: Quantity,
    better: Better,
    find: fn(&Results) -> Option<f64>,
}

impl Figure {
    fn regression(&self, then: &Results, now: &Results, noise: f64) -> Option<String> {
        let Self { name, quantity, better, find } = self;
        // There is no part of nothing.
        let then = find(then).filter(|&then| then > 0.0)?;
        let Some(now) = find(now).filter(|now| now.is_finite()) else {
            return Some(format!("{name} was {} and was not measured now", quantity.show(then)));
        };
        let (is_worse, moved) = match better {
            Better::Less => (now > then * (1.0 + noise), "rose"),
            Better::More => (now < then * (1.0 - noise), "fell"),
        };
        let percent = (now / then - 1.0) * 100.0;
        is_worse.then(|| format!("{name} {moved} from {} to {} ({percent:+.1} %)", quantity.show(then), quantity.show(now)))
    }
}

/// Which way is better.
enum Better {
    Less,
    More,
}

/// Lists by what loads differ, each with its name.
fn differing_parts(load: &Load) -> Vec<(&'static str, String)> {
    // Named one by one, so that a new field is thought of here.
    let Load {
        server: _,
        publishers,
        subscribers,
        publishers_read,
        repetitions,
        messages,
        duration_s,
        warmup_s,
        window,
        rate,
        size,
        stalled,
        slow,
        slow_bytes_per_s,
        churn,
        connect_rate,
        check,
        seed: _,
    } = load;
    vec![
        ("publishers", publishers.to_string()),
        ("subscribers", subscribers.to_string()),
        ("reading of publishers", publishers_read.to_string()),
        ("repetitions", repetitions.to_string()),
        ("messages", or_none(messages.as_ref())),
        ("duration", or_none(duration_s.as_ref())),
        ("warm-up", warmup_s.to_string()),
        ("window", or_none(window.as_ref())),
        ("rate", or_none(rate.as_ref())),
        ("size", format!("{}..{}", size[0], size[1])),
        ("stalled", stalled.to_string()),
        ("slow", slow.to_string()),
        ("rate of slow clients", or_none(slow_bytes_per_s.as_ref())),
        ("churn", churn.to_string()),
        ("connect rate", or_none(connect_rate.as_ref())),
        ("check", check.clone()),
    ]
}

fn or_none(value: Option<&impl ToString>) -> String {
    value.map_or_else(|| "none".to_owned(), ToString::to_string)
}

fn delivery(results: &Results, quantile: impl Fn(&Summary) -> f64) -> Option<f64> {
    results.latency.delivery.as_ref().filter(|summary| summary.count > 0).map(quantile)
}

const FIGURES: [Figure; 5] = [
    Figure {
        name: "the rate of deliveries",
        quantity: Quantity::Rate,
        better: Better::More,
        find: |results| Some(results.counts.deliveries_per_s),
    },
    Figure {
        name: "p50 of delivery",
        quantity: Quantity::Time,
        better: Better::Less,
        find: |results| delivery(results, |summary| summary.p50),
    },
    Figure {
        name: "p99 of delivery",
        quantity: Quantity::Time,
        better: Better::Less,
        find: |results| delivery(results, |summary| summary.p99),
    },
    Figure {
        name: "the server's processor time a delivery",
        quantity: Quantity::Effort,
        better: Better::Less,
        find: |results| results.server?.cpu_us_per_delivery,
    },
    Figure {
        name: "the server's peak of memory",
        quantity: Quantity::Memory,
        better: Better::Less,
        find: |results| results.server.map(|server| server.rss_peak_kib as f64),
    },
];

/// By how much a drop rate may rise: one percentage point. A judgement.
const DROP_RATE_NOISE: f64 = 0.01;

/// How much noise can be allowed for. A judgement: with more, nothing is compared.
const NOISE_PERCENT_MAX: f64 = 1000.0;

/// How long a name can be, in bytes. File systems have at least 255, and the file's name is a little longer.
const NAME_LEN_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::ServerSeen;
    use crate::results::sample::results;

    fn baseline() -> Baseline {
        Baseline { name: name("main"), results: results() }
    }

    fn name(name: &str) -> BaselineName {
        name.parse().unwrap()
    }

    /// Returns a directory that is not there.
    fn fresh_dir(test: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("stresstest-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        dir
    }

    #[track_caller]
    fn check_regressions(change: impl FnOnce(&mut Results), expected: &[&str]) {
        let mut now = results();
        change(&mut now);
        assert_eq!(baseline().regressions(&now, 0.1), expected);
    }

    fn server(results: &mut Results) -> &mut ServerSeen {
        results.server.as_mut().unwrap()
    }

    fn summary(results: &mut Results) -> &mut Summary {
        results.latency.delivery.as_mut().unwrap()
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let dir = fresh_dir("saved");
        let kept = dir.join("deeper");
        let path = Baseline::save(&kept, &name("v1.2"), &results()).unwrap();
        assert_eq!(path, kept.join("v1.2.json"));
        assert_eq!(Baseline::load(&kept, &name("v1.2")).unwrap().results, results());
        let mut other = results();
        other.counts.sent = 4;
        Baseline::save(&kept, &name("v1.2"), &other).unwrap();
        assert_eq!(Baseline::load(&kept, &name("v1.2")).unwrap().results, other);
        let files: Vec<_> = fs::read_dir(&kept).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(files, ["v1.2.json"], "nothing else is left");
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_missing_baseline_is_told_of_with_how_to_make_it() {
        let error = Baseline::load(Path::new("/nonexistent"), &name("main")).unwrap_err().to_string();
        assert_eq!(error, "there is no baseline /nonexistent/main.json: make it with --save-baseline main");
    }

    #[test]
    fn files_that_are_no_baselines_are_told_of() {
        let dir = fresh_dir("other");
        fs::create_dir(&dir).unwrap();
        let check = |text: &str, told: &str| {
            fs::write(dir.join("main.json"), text).unwrap();
            let error = Baseline::load(&dir, &name("main")).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        };
        check("{\"version\":", "main.json is no baseline: EOF");
        check("{\"version\":1}", "main.json is no baseline: missing field `load`");
        check("{\"version\":7,\"new\":0}", "main.json has version 7, and this is 1: make it again with --save-baseline main");
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_baseline_that_cannot_be_written_is_told_of_and_leaves_nothing() {
        let dir = fresh_dir("blocked");
        fs::create_dir_all(dir.join("main.json/occupied")).unwrap();
        let mut unreadable = results();
        unreadable.drops.rate = f64::NAN;
        Baseline::save(&dir, &name("other"), &unreadable).unwrap_err();
        let error = Baseline::save(&dir, &name("main"), &results()).unwrap_err().to_string();
        assert!(error.starts_with("cannot write the baseline "), "{error}");
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_name_cannot_leave_the_directory() {
        for name in ["", ".", "..", ".hidden", "a/b", "../a", "/etc", "a b", "a\0", "\u{e9}", &"x".repeat(NAME_LEN_MAX + 1)] {
            assert_eq!(name.parse::<BaselineName>(), Err(NameError), "{name:?}");
        }
        for name in ["a", "v1.2_rc-3", "a..b", &"x".repeat(NAME_LEN_MAX)] {
            assert_eq!(name.parse::<BaselineName>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn what_is_worse_by_more_than_the_noise_is_told_of() {
        check_regressions(
            |now| now.counts.deliveries_per_s = 1.5e6,
            &["the rate of deliveries fell from 2 M/s to 1.5 M/s (-25.0 %)"],
        );
        check_regressions(|now| summary(now).p50 = 135.0, &["p50 of delivery rose from 90 \u{b5}s to 135 \u{b5}s (+50.0 %)"]);
        check_regressions(|now| summary(now).p99 = 5000.0, &["p99 of delivery rose from 4 ms to 5 ms (+25.0 %)"]);
        check_regressions(
            |now| server(now).cpu_us_per_delivery = Some(0.3),
            &["the server's processor time a delivery rose from 250 ns to 300 ns (+20.0 %)"],
        );
        check_regressions(
            |now| server(now).rss_peak_kib = 196_608,
            &["the server's peak of memory rose from 128 MiB to 192 MiB (+50.0 %)"],
        );
        check_regressions(|now| now.drops.rate = 0.0301, &["the drop rate rose from 2 % to 3.01 %"]);
    }

    #[test]
    fn noise_and_improvements_are_no_regressions() {
        check_regressions(|_| (), &[]);
        check_regressions(
            |now| {
                now.counts.deliveries_per_s = 1.81e6;
                now.drops.rate = 0.03;
                *server(now) = ServerSeen { cpu_us_per_delivery: Some(0.27), rss_peak_kib: 140_000, ..*server(now) };
                *summary(now) = Summary { p50: 98.0, p99: 4390.0, ..*summary(now) };
            },
            &[],
        );
        check_regressions(
            |now| {
                now.counts.deliveries_per_s = 9e6;
                now.drops.rate = 0.0;
                *server(now) = ServerSeen { cpu_us_per_delivery: Some(0.01), rss_peak_kib: 1, ..*server(now) };
                *summary(now) = Summary { p50: 1.0, p99: 2.0, ..*summary(now) };
            },
            &[],
        );
    }

    #[test]
    fn what_is_not_measured_any_more_is_told_of() {
        check_regressions(
            |now| now.latency.delivery = None,
            &["p50 of delivery was 90 \u{b5}s and was not measured now", "p99 of delivery was 4 ms and was not measured now"],
        );
        let mut then = baseline();
        then.results.server = None;
        assert!(then.regressions(&results(), 0.1).is_empty(), "nobody knows what it was");
    }

    #[test]
    fn other_loads_cannot_be_compared() {
        assert_eq!(baseline().incomparable(&results()), None);
        let mut now = results();
        now.load.server = "./other".into();
        now.load.seed = 4;
        assert_eq!(baseline().incomparable(&now), None);
        now.load.publishers = 4;
        now.load.publishers_read = false;
        now.load.warmup_s = 0.5;
        now.load.rate = None;
        now.load.size = [0, 255];
        now.load.slow_bytes_per_s = Some(10);
        let told = "the baseline `main` is of another load: publishers was 2 and is 4, reading of publishers was true and is false, \
                    warm-up was 0 and is 0.5, rate was 100000 and is none, size was 16..64 and is 0..255, \
                    rate of slow clients was none and is 10";
        assert_eq!(baseline().incomparable(&now).as_deref(), Some(told));
    }

    #[test]
    fn a_noise_margin_is_some_percent() {
        for (text, noise) in [("10", 0.1), ("7.5%", 0.075), ("0", 0.0)] {
            assert_eq!(noise_from_percent(text), Ok(noise));
        }
        for text in ["", "-1", "NaN", "inf", "1001", "ten"] {
            assert_eq!(noise_from_percent(text), Err(NoiseError), "{text}");
        }
    }
}
