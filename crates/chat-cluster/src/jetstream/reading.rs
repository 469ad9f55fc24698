//! Reading the stream from a sequence on.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::consumer::pull::{self, Stream as Entries};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy};
use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::stream::{Info, RawMessageErrorKind};
use futures::StreamExt;

use super::StreamName;
use super::connect::{REQUEST_TIMEOUT, with_sources};

/// The stream, read from a sequence on.
pub(super) struct Opened {
    pub(super) info: Box<Info>,
    pub(super) entries: Entries,
}

/// The entry that was read last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Last {
    pub(super) sequence: u64,
    /// When the stream stored it, in nanoseconds of Unix time.
    pub(super) stored_at: i128,
}

/// Why the stream cannot be read.
#[derive(Debug)]
pub(super) enum ReadTrouble {
    /// There is none, or it was made anew.
    Lost,
    Passing(String),
}

/// Begins to read the stream, unless it is another one than that of the entry that was read last.
pub(super) async fn open(
    context: Context,
    name: StreamName,
    expected: u64,
    last: Option<Last>,
) -> Result<Opened, ReadTrouble> {
    let opening = async {
        let info = look(&context, &name).await?;
        let stream = context.get_stream_no_info(name.as_str()).await;
        let stream = stream.map_err(|error| ReadTrouble::of(&error))?;
        // A stream in memory that was lost with its servers may come back empty under the same time of
        // creation, and have as many entries again.
        if let Some(last) = last
            && info.state.first_sequence <= last.sequence
        {
            let raw = stream.get_raw_message(last.sequence).await;
            let raw = raw.map_err(|error| match error.kind() {
                RawMessageErrorKind::NoMessageFound => ReadTrouble::Lost,
                _ => ReadTrouble::of(&error),
            })?;
            if raw.time.unix_timestamp_nanos() != last.stored_at {
                return Err(ReadTrouble::Lost);
            }
        }
        let consumer = stream.create_consumer(config(expected)).await;
        let consumer = consumer.map_err(|error| ReadTrouble::of(&error))?;
        let reading = consumer
            .stream()
            .max_messages_per_batch(ENTRY_COUNT_MAX)
            .heartbeat(HEARTBEAT)
            .expires(PULL_EXPIRES);
        let entries = reading.messages().await;
        let entries = entries.map_err(|error| ReadTrouble::of(&error))?;
        Ok(Opened { info, entries })
    };
    let opened = tokio::time::timeout(2 * REQUEST_TIMEOUT, opening).await;
    opened.unwrap_or_else(|_| Err(ReadTrouble::Passing("NATS does not answer".to_owned())))
}

/// Asks what the stream says of itself.
pub(super) async fn look(context: &Context, name: &StreamName) -> Result<Box<Info>, ReadTrouble> {
    match context.get_stream(name.as_str()).await {
        Ok(stream) => Ok(Box::new(stream.cached_info().clone())),
        Err(error) => Err(match error.kind() {
            GetStreamErrorKind::JetStream(error)
                if error.error_code() == ErrorCode::STREAM_NOT_FOUND =>
            {
                ReadTrouble::Lost
            }
            _ => ReadTrouble::of(&error),
        }),
    }
}

/// Waits for the next entry. For ever, where nothing is read.
pub(super) async fn next(
    entries: &mut Option<Entries>,
) -> Result<async_nats::jetstream::Message, String> {
    let Some(entries) = entries else {
        return std::future::pending().await;
    };
    match entries.next().await {
        Some(Ok(message)) => Ok(message),
        Some(Err(error)) => Err(with_sources(&error)),
        None => Err("NATS has ended the reading".to_owned()),
    }
}

/// One that NATS forgets with the connection, and that acknowledges nothing: where the reading goes
/// on, the node knows.
fn config(expected: u64) -> pull::Config {
    pull::Config {
        deliver_policy: DeliverPolicy::ByStartSequence {
            start_sequence: expected,
        },
        ack_policy: AckPolicy::None,
        inactive_threshold: INACTIVE_MAX,
        num_replicas: 1,
        memory_storage: true,
        ..pull::Config::default()
    }
}

impl ReadTrouble {
    fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::Passing(with_sources(error))
    }

    /// Returns whether it was over before it was told: entries have been read since the stream was asked.
    pub(super) fn is_overtaken(&self, asked_after: u64, read: u64) -> bool {
        matches!(self, Self::Passing(_)) && read > asked_after
    }
}

/// How many entries are on their way at most. Judgement: 4 MiB of the longest.
const ENTRY_COUNT_MAX: usize = 64;

/// How often NATS says that it has nothing to say; after twice as long without a word, the reading
/// begins anew.
const HEARTBEAT: Duration = Duration::from_secs(2);

const PULL_EXPIRES: Duration = Duration::from_secs(30);

/// How long NATS keeps what nobody reads from.
const INACTIVE_MAX: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_over_when_entries_have_come_since() {
        let passing = ReadTrouble::Passing("no answer".to_owned());
        assert!(passing.is_overtaken(10, 11));
        assert!(!passing.is_overtaken(10, 10));
        assert!(!ReadTrouble::Lost.is_overtaken(10, 11));
    }
}
