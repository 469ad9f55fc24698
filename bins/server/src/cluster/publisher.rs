//! Where the messages of one client go.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use chat_cluster::jetstream::{Gone, Sender};
use chat_hub::{Closed, Position};
use chat_proto::Messages;
use chat_session::Publish;

use super::Cluster;
use super::ends::LastMessage;

/// Publishes a client's messages to the cluster.
#[derive(Debug)]
pub(crate) struct Publisher {
    cluster: Cluster,
    sender: Sender,
    /// Most clients listen.
    last: Option<Arc<LastMessage>>,
}

impl Publisher {
    pub(super) fn new(cluster: Cluster, sender: Sender) -> Self {
        Self {
            cluster,
            sender,
            last: None,
        }
    }
}

impl Publish for Publisher {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Closed>> {
        self.sender.poll_ready(cx).map_err(|Gone| Closed)
    }

    fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
        messages: &mut Messages<'_>,
    ) -> Poll<Result<(), Closed>> {
        let last = self.last.get_or_insert_default();
        let ends = &self.cluster.shared.ends;
        loop {
            let accepted = self.sender.accept(messages, |mark| ends.note(mark, last));
            accepted.map_err(|Gone| Closed)?;
            if messages.is_empty() {
                return Poll::Ready(Ok(()));
            }
            // There were more than was promised.
            ready!(self.sender.poll_ready(cx)).map_err(|Gone| Closed)?;
        }
    }

    fn pass(&mut self) {
        self.sender.pass();
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<Position, Closed>> {
        match &self.last {
            Some(last) => self.cluster.shared.ends.poll(last, cx),
            None => Poll::Ready(Ok(self.cluster.shared.start)),
        }
    }
}
