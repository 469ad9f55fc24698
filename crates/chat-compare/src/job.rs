//! What is asked of all servers.

use std::time::Duration;

use chat_results::comparison::{Figure, SweepPoint};
use chat_results::{Load, Pacing, parse_rate};
use chat_stress::WINDOW_MAX;

/// A load that all servers get, and the figures about which it is decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Its name in one word.
    pub name: String,
    /// What it is about, in a sentence.
    pub about: String,
    /// The load, but for its seed.
    pub load: Load,
    /// The figures about which it is decided whether servers differ.
    pub decided: Vec<Figure>,
    /// Which point of a sweep it is, if it is one.
    pub sweep: Option<SweepPoint>,
}

impl Job {
    /// Makes one of a load.
    pub fn of(load: Load) -> Self {
        let decided = if load.has_schedule() {
            vec![Figure::P50, Figure::P99, Figure::Effort]
        } else {
            vec![Figure::Deliveries, Figure::P50, Figure::Effort]
        };
        Self {
            name: "load".to_owned(),
            about: "The load that was asked for.".to_owned(),
            load,
            decided,
            sweep: None,
        }
    }

    /// Makes one of each point of a sweep, which is this job with another pacing.
    pub fn sweep(&self, points: &[SweepPoint]) -> Vec<Self> {
        let at = |&point: &SweepPoint| {
            let (pacing, name) = match point {
                SweepPoint::Window(window) => (Pacing::window(window), format!("window-{window}")),
                SweepPoint::Rate(rate) => (Pacing::Rate(rate), format!("rate-{rate}")),
            };
            let load = Load {
                pacing,
                ..self.load
            };
            Self {
                name,
                about: self.about.clone(),
                sweep: Some(point),
                ..Self::of(load)
            }
        };
        points.iter().map(at).collect()
    }
}

/// Jobs that together tell how a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Short ones, for a few minutes.
    Quick,
    /// Longer ones with more clients.
    Full,
}

impl Preset {
    /// Returns the jobs.
    pub fn jobs(self) -> Vec<Job> {
        let (duration, clients) = match self {
            Self::Quick => (Duration::from_millis(400), 100),
            Self::Full => (Duration::from_secs(2), 1000),
        };
        let base = Load {
            messages: None,
            duration: Some(duration),
            warmup: duration / 4,
            ..Load::default()
        };
        let few = Load {
            messages: Some(10),
            duration: None,
            warmup: Duration::ZERO,
            publishers: 1,
            subscribers: clients - 1,
            ..base
        };
        let window = Pacing::window;
        let job = |name: &str, about: &str, decided: &[Figure], load: Load| Job {
            name: name.to_owned(),
            about: about.to_owned(),
            load,
            decided: decided.to_vec(),
            sweep: None,
        };
        let speed = &[Figure::Deliveries, Figure::Effort];
        vec![
            job(
                "bulk",
                "1000 messages in flight per publisher: how much gets through.",
                speed,
                Load {
                    pacing: window(1000),
                    ..base
                },
            ),
            job(
                "small-window",
                "10 messages in flight per publisher.",
                speed,
                Load {
                    pacing: window(10),
                    ..base
                },
            ),
            job(
                "one-in-flight",
                "The next message follows the echo: how long a single one takes.",
                &[Figure::P50],
                Load {
                    pacing: Pacing::LOCK_STEP,
                    ..base
                },
            ),
            job(
                "paced",
                "2000 messages per second on a schedule: latency without a queue.",
                &[Figure::P50, Figure::P99],
                Load {
                    pacing: Pacing::Rate(2000.0),
                    ..base
                },
            ),
            job(
                "many-clients",
                "Each message goes to many clients.",
                speed,
                Load {
                    publishers: 2,
                    subscribers: clients / 2 - 1,
                    pacing: window(10),
                    ..base
                },
            ),
            job(
                "stalled-clients",
                "Clients that never read are connected, too.",
                speed,
                Load {
                    stalled: clients / 10,
                    pacing: window(100),
                    ..base
                },
            ),
            job(
                "idle-memory",
                "Many clients with next to nothing to do.",
                &[Figure::MemoryPerClient],
                few,
            ),
            job(
                "connect-storm",
                "Many clients connect at once.",
                &[Figure::JoinP50],
                few,
            ),
        ]
    }
}

/// Reads numbers of messages in flight, like `1,10,100`.
///
/// # Errors
///
/// When one is none, or there are more than [`SWEEP_MAX`].
pub fn sweep_windows(text: &str) -> Result<Vec<SweepPoint>, SweepError> {
    let points: Option<Vec<_>> = text
        .split(',')
        .map(|word| word.parse().ok().filter(|&window| window <= WINDOW_MAX))
        .map(|window| window.map(SweepPoint::Window))
        .collect();
    few(points.ok_or(SweepError::Window)?)
}

/// Reads rates, like `1k,5k` or `1k..1M`: of a range, 1, 2 and 5 times each power of ten between its ends.
///
/// # Errors
///
/// When one is no rate, a range is empty, or there are more than [`SWEEP_MAX`].
pub fn sweep_rates(text: &str) -> Result<Vec<SweepPoint>, SweepError> {
    let rate = |text: &str| parse_rate(text).map_err(|_| SweepError::Rate);
    let rates = if let Some((low, high)) = text.split_once("..") {
        let (low, high) = (rate(low)?, rate(high)?);
        let steps = (0..12).flat_map(|power| [1.0, 2.0, 5.0].map(|it| it * 10_f64.powi(power)));
        let between = steps.filter(|it| (low < *it) && (*it < high));
        let mut rates: Vec<f64> = std::iter::once(low).chain(between).collect();
        match high.total_cmp(&low) {
            std::cmp::Ordering::Less => return Err(SweepError::Empty),
            std::cmp::Ordering::Equal => {}
            std::cmp::Ordering::Greater => rates.push(high),
        }
        rates
    } else {
        text.split(',').map(rate).collect::<Result<_, _>>()?
    };
    few(rates.into_iter().map(SweepPoint::Rate).collect())
}

fn few(points: Vec<SweepPoint>) -> Result<Vec<SweepPoint>, SweepError> {
    if points.len() > SWEEP_MAX {
        return Err(SweepError::Many);
    }
    Ok(points)
}

/// Why a text is no sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SweepError {
    /// It has no numbers of messages.
    #[error("numbers of messages up to {WINDOW_MAX} are needed, like 1,10,100")]
    Window,
    /// It has no rates.
    #[error("rates per second are needed, like 1k,5k or 1k..1M")]
    Rate,
    /// The range ends before it begins.
    #[error("the range ends below its beginning")]
    Empty,
    /// It has too many points.
    #[error("a sweep has at most {SWEEP_MAX} points")]
    Many,
}

/// How many points a sweep has at most. A judgement: each is run in all rounds.
pub const SWEEP_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use chat_stress::check_load;

    use super::*;

    #[test]
    fn sweeps_are_lists_and_ranges() {
        let windows = sweep_windows("1,10").unwrap();
        assert_eq!(windows, [SweepPoint::Window(1), SweepPoint::Window(10)]);
        let rates = sweep_rates("1k..12k").unwrap();
        assert_eq!(rates, [1e3, 2e3, 5e3, 1e4, 12e3].map(SweepPoint::Rate));
        assert_eq!(sweep_rates("7").unwrap(), [SweepPoint::Rate(7.0)]);
        assert_eq!(sweep_rates("5..5").unwrap().len(), 1);
        assert_eq!(sweep_rates("9..5"), Err(SweepError::Empty));
        assert_eq!(sweep_rates("1,x"), Err(SweepError::Rate));
        assert_eq!(sweep_windows("1,-1"), Err(SweepError::Window));
        assert_eq!(
            sweep_windows("1,".repeat(40).trim_end_matches(',')),
            Err(SweepError::Many)
        );
    }

    #[test]
    fn presets_have_loads_that_can_be() {
        for job in [Preset::Quick, Preset::Full]
            .into_iter()
            .flat_map(Preset::jobs)
        {
            check_load(&job.load).unwrap_or_else(|error| panic!("{}: {error}", job.name));
            assert!(!job.decided.is_empty());
        }
    }
}
