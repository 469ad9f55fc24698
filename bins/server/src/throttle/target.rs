//! Where the messages of a client go.

use std::task::{Context, Poll};

use chat_hub::{Closed, Position, Publisher};
use chat_proto::Messages;
use chat_session::Publish;

use crate::cluster;

/// Where the messages of a client go.
#[derive(Debug)]
pub(crate) enum Target {
    Hub(Publisher),
    /// In a box: without a cluster, a client is not to be larger for it.
    Cluster(Box<cluster::Publisher>),
}

impl Publish for Target {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Closed>> {
        match self {
            Self::Hub(publisher) => Publish::poll_ready(publisher, cx),
            Self::Cluster(publisher) => publisher.poll_ready(cx),
        }
    }

    fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
        messages: &mut Messages<'_>,
    ) -> Poll<Result<(), Closed>> {
        match self {
            Self::Hub(publisher) => publisher.poll_accept(cx, messages),
            Self::Cluster(publisher) => publisher.poll_accept(cx, messages),
        }
    }

    fn pass(&mut self) {
        match self {
            Self::Hub(publisher) => publisher.pass(),
            Self::Cluster(publisher) => publisher.pass(),
        }
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<Position, Closed>> {
        match self {
            Self::Hub(publisher) => publisher.poll_end(cx),
            Self::Cluster(publisher) => publisher.poll_end(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_no_larger_for_clusters() {
        assert_eq!(size_of::<Target>(), size_of::<Publisher>());
    }
}
