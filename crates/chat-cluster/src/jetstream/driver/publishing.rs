//! One publish at a time, repeated under its id until the stream has it.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;
use futures::future::BoxFuture;

use super::{Driver, RETRY_PAUSE};
use crate::MessageId;
use crate::jetstream::StreamName;
use crate::jetstream::connect::with_sources;

/// The publish that is under way.
#[derive(Default)]
pub(super) struct Publishing {
    id: Option<MessageId>,
    pub(super) under_way: Option<BoxFuture<'static, Result<u64, String>>>,
    /// Whether the last one failed.
    has_failed: bool,
    /// The last sequence that was acknowledged.
    pub(super) acknowledged: u64,
}

impl Driver<'_> {
    /// Begins the next publish, if there is one and none is under way.
    pub(super) fn publish_next(&mut self) {
        if self.publishing.under_way.is_some() || self.links.connection.is_some() {
            return;
        }
        let mut inner = self.shared.lock();
        let Some(publish) = inner.node.as_mut().and_then(|node| node.next_publish()) else {
            return;
        };
        let (id, bytes) = (publish.id, Bytes::copy_from_slice(publish.bytes));
        inner.note_publish(id);
        drop(inner);
        let subject = match id {
            MessageId::Numbered { .. } => self.settings.stream.entries_subject(),
            MessageId::Snapshot { .. } => self.settings.stream.snapshots_subject(),
        };
        let pause = if self.publishing.has_failed {
            RETRY_PAUSE
        } else {
            Duration::ZERO
        };
        let (context, stream) = (self.context.clone(), self.settings.stream.clone());
        let publishing = publish_after(pause, context, stream, subject, id, bytes);
        self.publishing.id = Some(id);
        self.publishing.under_way = Some(Box::pin(publishing));
    }

    pub(super) fn take_published(&mut self, published: Result<u64, String>) {
        let Some(id) = self.publishing.id.take() else {
            return;
        };
        self.publishing.has_failed = published.is_err();
        if let Some(node) = &mut self.shared.lock().node {
            match published {
                Ok(sequence) => node.acknowledged(id, sequence),
                Err(_) => node.failed(id),
            }
        }
        if let Ok(sequence) = published {
            self.publishing.acknowledged = self.publishing.acknowledged.max(sequence);
            self.links.refused = None;
        }
        self.links.publishing = published.err();
        self.show_links();
    }

    /// Waits no more for the answer to the publish that is under way, and repeats it.
    pub(super) fn publish_again(&mut self) {
        self.publishing.under_way = None;
        if let Some(id) = self.publishing.id.take()
            && let Some(node) = &mut self.shared.lock().node
        {
            node.failed(id);
        }
        self.publishing.has_failed = false;
    }
}

/// Publishes, and returns the sequence that the stream has given it.
async fn publish_after(
    pause: Duration,
    context: Context,
    stream: StreamName,
    subject: String,
    id: MessageId,
    bytes: Bytes,
) -> Result<u64, String> {
    if !pause.is_zero() {
        tokio::time::sleep(pause).await;
    }
    let message = PublishMessage::build().payload(bytes);
    let message = message.message_id(id.to_string());
    let sent = context.send_publish(subject, message).await;
    let acknowledged = sent.map_err(|error| with_sources(&error))?.await;
    let failed = |error| format!("the stream takes nothing: {}", with_sources(&error));
    let acknowledged = acknowledged.map_err(failed)?;
    match acknowledged.stream == stream.as_str() {
        true => Ok(acknowledged.sequence),
        false => Err(format!(
            "another stream takes the subjects: {}",
            acknowledged.stream
        )),
    }
}
