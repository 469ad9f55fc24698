//! The stream: its settings, and those that would break the promise.

use std::fmt;
use std::time::Duration;

use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};

use super::{Settings, Storage};
use crate::BATCH_LEN_MAX;

/// The fewest bytes that a stream may keep: more than there are between two snapshots, which are
/// 1000 batches apart at most.
pub const MAX_BYTES_MIN: u64 = 128 << 20;

/// Says which setting of a stream would break the promise, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefuseError {
    /// The stream.
    pub stream: String,
    /// The setting.
    pub setting: &'static str,
    /// What it is.
    pub has: String,
    /// What it has to be.
    pub needs: String,
    /// What would happen.
    pub reason: &'static str,
}

impl fmt::Display for RefuseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            stream,
            setting,
            has,
            needs,
            reason,
        } = self;
        write!(
            f,
            "the stream {stream} has {setting} {has} and needs {needs}: {reason}; change that, or \
             name another stream"
        )
    }
}

impl std::error::Error for RefuseError {}

/// Returns the id of a stream, which tells it from others that had its name before; 0 where somebody
/// else has made it.
///
/// It stands in the description, which all replicas have. The time of creation would not do: with NATS
/// 2.9, a replica that was restarted has a time of its own.
pub(super) fn id(config: &Config) -> u64 {
    let description = config.description.as_deref().unwrap_or_default();
    let digits = description.strip_prefix(DESCRIPTION);
    digits.map_or(0, |digits| u64::from_str_radix(digits, 16).unwrap_or(0))
}

/// Returns the description of a stream with an id.
pub(super) fn description(id: u64) -> String {
    format!("{DESCRIPTION}{id:016x}")
}

/// Returns the settings of a stream that is created.
pub(super) fn config(settings: &Settings) -> Config {
    let max_age = settings.max_age;
    let mut duplicate_window = DUPLICATE_WINDOW;
    if !max_age.is_zero() {
        duplicate_window = duplicate_window.min(max_age);
    }
    Config {
        name: settings.stream.to_string(),
        subjects: subjects(settings),
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::Old,
        storage: match settings.storage {
            Storage::File => StorageType::File,
            Storage::Memory => StorageType::Memory,
        },
        num_replicas: settings.replicas,
        max_bytes: i64::try_from(settings.max_bytes).unwrap_or(i64::MAX),
        max_age,
        max_messages: -1,
        max_messages_per_subject: -1,
        max_message_size: -1,
        max_consumers: -1,
        duplicate_window,
        deny_delete: true,
        deny_purge: true,
        ..Config::default()
    }
}

/// Fails unless the stream keeps the promise, and is as it was asked for.
pub(super) fn check(config: &Config, settings: &Settings) -> Result<(), RefuseError> {
    let checks = Checks(config);
    let wanted = self::config(settings);
    let (subjects, needed) = (sorted(&config.subjects), sorted(&wanted.subjects));
    checks.equal("subjects", &subjects, &needed, SUBJECTS)?;
    checks.equal("storage", &config.storage, &wanted.storage, ASKED)?;
    let (replicas, asked) = (config.num_replicas, wanted.num_replicas);
    checks.equal("replicas", &replicas, &asked, ASKED)?;
    let (limits, old) = (RetentionPolicy::Limits, DiscardPolicy::Old);
    checks.equal("retention", &config.retention, &limits, RETENTION)?;
    checks.equal("discard", &config.discard, &old, DISCARD)?;
    checks.equal("no_ack", &config.no_ack, &false, NO_ACK)?;
    checks.equal("sealed", &config.sealed, &false, SEALED)?;
    checks.equal("deny_delete", &config.deny_delete, &true, HOLES)?;
    checks.equal("deny_purge", &config.deny_purge, &true, HOLES)?;
    checks.equal("allow_rollup_hdrs", &config.allow_rollup, &false, HOLES)?;
    checks.equal("allow_msg_ttl", &config.allow_message_ttl, &false, HOLES)?;
    let transforms = config.subject_transform.is_some();
    checks.equal("subject_transform", &transforms, &false, SUBJECTS)?;
    checks.equal("mirror", &config.mirror.is_some(), &false, OTHERS)?;
    let has_sources = config.sources.as_ref().is_some_and(|them| !them.is_empty());
    checks.equal("sources", &has_sources, &false, OTHERS)?;
    let per_subject = config.max_messages_per_subject;
    checks.unlimited_or("max_msgs_per_subject", per_subject, i64::MAX, HOLES)?;
    let (bytes, count) = (config.max_bytes, config.max_messages);
    let bytes_min = i64::try_from(MAX_BYTES_MIN).unwrap_or(i64::MAX);
    checks.unlimited_or("max_bytes", bytes, bytes_min, SHORT)?;
    checks.unlimited_or("max_msgs", count, MAX_MESSAGES_MIN, SHORT)?;
    let size = config.max_message_size.into();
    let size_min = i64::try_from(ENTRY_LEN_MAX).unwrap_or(i64::MAX);
    checks.unlimited_or("max_msg_size", size, size_min, SIZE)?;
    let consumers = config.max_consumers.into();
    checks.unlimited_or("max_consumers", consumers, MAX_CONSUMERS_MIN, CONSUMERS)?;
    if !config.max_age.is_zero() {
        checks.at_least("max_age", config.max_age, MAX_AGE_MIN, SHORT)?;
    }
    let window = config.duplicate_window;
    checks.at_least("duplicate_window", window, WINDOW_MIN, WINDOW)
}

fn subjects(settings: &Settings) -> Vec<String> {
    let stream = &settings.stream;
    vec![stream.entries_subject(), stream.snapshots_subject()]
}

fn sorted(subjects: &[String]) -> Vec<&str> {
    let mut subjects: Vec<_> = subjects.iter().map(String::as_str).collect();
    subjects.sort_unstable();
    subjects
}

/// Compares settings of a stream.
struct Checks<'a>(&'a Config);

impl Checks<'_> {
    fn equal<T: PartialEq + fmt::Debug>(
        &self,
        setting: &'static str,
        has: &T,
        needs: &T,
        reason: &'static str,
    ) -> Result<(), RefuseError> {
        match has == needs {
            true => Ok(()),
            false => self.refuse(setting, has, format!("{needs:?}"), reason),
        }
    }

    fn unlimited_or(
        &self,
        setting: &'static str,
        has: i64,
        min: i64,
        reason: &'static str,
    ) -> Result<(), RefuseError> {
        if has <= 0 || has >= min {
            return Ok(());
        }
        let needs = match min {
            i64::MAX => "none".to_owned(),
            min => format!("none, or at least {min}"),
        };
        self.refuse(setting, &has, needs, reason)
    }

    fn at_least(
        &self,
        setting: &'static str,
        has: Duration,
        min: Duration,
        reason: &'static str,
    ) -> Result<(), RefuseError> {
        match has >= min {
            true => Ok(()),
            false => self.refuse(setting, &has, format!("at least {min:?}"), reason),
        }
    }

    fn refuse(
        &self,
        setting: &'static str,
        has: &dyn fmt::Debug,
        needs: String,
        reason: &'static str,
    ) -> Result<(), RefuseError> {
        Err(RefuseError {
            stream: self.0.name.clone(),
            setting,
            has: format!("{has:?}"),
            needs,
            reason,
        })
    }
}

/// The longest entry in bytes, with the headers that a publish has. Judgement: the largest batch or
/// snapshot, and half a kilobyte.
pub(super) const ENTRY_LEN_MAX: usize = BATCH_LEN_MAX + 512;

const DESCRIPTION: &str = "One room of several chat servers, ";

/// How long the stream knows what was published: longer than the servers of NATS take to find a
/// leader. What is stored twice all the same is skipped by each node.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

const WINDOW_MIN: Duration = Duration::from_secs(10);

/// More entries than there are between two snapshots.
const MAX_MESSAGES_MIN: i64 = 4 * 1000;

/// A stream that nobody writes to for so long has no snapshot any more, and has to be made anew.
const MAX_AGE_MIN: Duration = Duration::from_secs(3600);

/// One for each node, and one for its next life. Judgement.
const MAX_CONSUMERS_MIN: i64 = 16;

const ASKED: &str = "that is what this node was told";
const SUBJECTS: &str = "nodes write to these, and nobody is to write to the stream elsewhere";
const RETENTION: &str = "entries would go before all nodes have read them";
const DISCARD: &str = "a full stream would take no more messages";
const NO_ACK: &str = "nothing would ever be acknowledged";
const SEALED: &str = "it takes no messages";
const HOLES: &str = "entries could go from the middle";
const OTHERS: &str = "entries of another stream would come into it";
const SHORT: &str = "entries would go before a node that joins finds a snapshot";
const SIZE: &str = "a batch would not fit";
const CONSUMERS: &str = "each node has one";
const WINDOW: &str = "what is published again after a fault would be stored again";

#[cfg(test)]
mod tests {
    use async_nats::jetstream::stream::SubjectTransform;

    use super::*;

    type Change = fn(&mut Config);

    fn settings() -> Settings {
        let servers = vec!["nats://127.0.0.1".parse().unwrap()];
        Settings::new(servers, "room".parse().unwrap(), "left".parse().unwrap())
    }

    #[test]
    fn a_stream_has_the_id_of_its_description() {
        let mut config = config(&settings());
        assert_eq!(id(&config), 0);
        for number in [1, 0xfedc_ba98_7654_3210] {
            config.description = Some(description(number));
            assert_eq!(id(&config), number);
        }
    }

    #[test]
    fn a_stream_that_is_created_is_not_refused() {
        let mut settings = settings();
        assert_eq!(check(&config(&settings), &settings), Ok(()));
        settings.max_age = MAX_AGE_MIN;
        settings.storage = Storage::Memory;
        assert_eq!(check(&config(&settings), &settings), Ok(()));
    }

    #[test]
    fn subjects_have_no_order() {
        let settings = settings();
        let mut config = config(&settings);
        config.subjects.reverse();
        assert_eq!(check(&config, &settings), Ok(()));
    }

    #[test]
    fn each_setting_that_breaks_the_promise_is_refused() {
        let cases: [(&str, Change); 20] = [
            ("subjects", |config| config.subjects.push("more".to_owned())),
            ("storage", |config| config.storage = StorageType::Memory),
            ("replicas", |config| config.num_replicas = 1),
            ("retention", |config| {
                config.retention = RetentionPolicy::Interest;
            }),
            ("discard", |config| config.discard = DiscardPolicy::New),
            ("no_ack", |config| config.no_ack = true),
            ("sealed", |config| config.sealed = true),
            ("deny_delete", |config| config.deny_delete = false),
            ("deny_purge", |config| config.deny_purge = false),
            ("allow_rollup_hdrs", |config| config.allow_rollup = true),
            ("allow_msg_ttl", |config| config.allow_message_ttl = true),
            ("subject_transform", |config| {
                config.subject_transform = Some(SubjectTransform {
                    source: ">".to_owned(),
                    destination: "elsewhere.>".to_owned(),
                });
            }),
            ("sources", |config| {
                config.sources = Some(vec![Default::default()]);
            }),
            ("max_msgs_per_subject", |config| {
                config.max_messages_per_subject = 1 << 40;
            }),
            ("max_bytes", |config| config.max_bytes = 1 << 20),
            ("max_msgs", |config| config.max_messages = 10),
            ("max_msg_size", |config| config.max_message_size = 1000),
            ("max_consumers", |config| config.max_consumers = 1),
            ("max_age", |config| config.max_age = WINDOW_MIN),
            ("duplicate_window", |config| {
                config.duplicate_window = Duration::from_millis(100);
            }),
        ];
        for (setting, change) in cases {
            let settings = settings();
            let mut config = config(&settings);
            change(&mut config);
            let refused = check(&config, &settings).unwrap_err();
            assert_eq!(refused.setting, setting);
            assert!(refused.to_string().contains("the stream room has"));
        }
    }
}
