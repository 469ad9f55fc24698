//! The snapshot that a node joins with.

use async_nats::jetstream::Context;
use async_nats::jetstream::stream::RawMessageErrorKind;
use bytes::Bytes;

use crate::jetstream::Settings;
use crate::jetstream::connect::{self, Trouble, no_answer};
use crate::{Envelope, SNAPSHOT_INTERVAL, StreamInfo};

/// Returns the newest snapshot in the stream, if there is one; where others have written what comes
/// after it, one that is not much older. Any is as good: the history after it is read.
pub(super) async fn find(
    settings: &Settings,
    context: &Context,
    info: StreamInfo,
) -> Result<Option<Bytes>, Trouble> {
    match connect::find_snapshot(settings, context).await? {
        Some(newest) if is_of(info, info.last, &newest) => Ok(Some(newest)),
        Some(_) => find_older(settings, context, info).await,
        None => Ok(None),
    }
}

/// Looks for a snapshot further and further back.
async fn find_older(
    settings: &Settings,
    context: &Context,
    info: StreamInfo,
) -> Result<Option<Bytes>, Trouble> {
    let stream = context.get_stream_no_info(settings.stream.as_str()).await;
    let stream = stream.map_err(|error| no_answer(&error))?;
    let subject = settings.stream.snapshots_subject();
    let mut back = SNAPSHOT_INTERVAL;
    loop {
        let start = info.last.saturating_sub(back).max(info.first);
        let mut next = start;
        for _ in 0..LOOK_COUNT_MAX {
            let found = stream.get_first_raw_message_by_subject(&subject, next);
            let message = match found.await {
                Ok(message) => message,
                Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => break,
                Err(error) => return Err(no_answer(&error)),
            };
            if is_of(info, message.sequence.saturating_sub(1), &message.payload) {
                return Ok(Some(message.payload));
            }
            next = message.sequence + 1;
        }
        if start == info.first {
            return Ok(None);
        }
        back = back.saturating_mul(4);
    }
}

/// Returns whether it is a snapshot of this stream, and of no entry after `last`.
fn is_of(info: StreamInfo, last: u64, bytes: &[u8]) -> bool {
    match Envelope::parse(bytes) {
        Ok(Envelope::Snapshot { stream, as_of, .. }) => {
            stream == info.id && as_of <= last && info.first <= as_of.saturating_add(1)
        }
        _ => false,
    }
}

/// How many entries are looked at for a snapshot at one place. Judgement: others who write so many in a
/// row have to be stopped.
const LOOK_COUNT_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Filter;

    #[test]
    fn only_a_snapshot_with_the_history_after_it_is_one() {
        let info = StreamInfo {
            id: 7,
            first: 10,
            last: 20,
        };
        let check = |stream, as_of, expected| {
            let mut bytes = Vec::new();
            let filter = Filter::new();
            let snapshot = Envelope::Snapshot {
                stream,
                as_of,
                filter,
            };
            snapshot.encode(&mut bytes);
            assert_eq!(is_of(info, 15, &bytes), expected, "{stream} {as_of}");
        };
        check(7, 9, true);
        check(7, 15, true);
        check(8, 15, false);
        check(7, 16, false);
        check(7, 8, false);
        check(7, u64::MAX, false);
        assert!(!is_of(info, 15, b"rubbish"));
        assert!(!is_of(info, 15, b""));
    }
}
