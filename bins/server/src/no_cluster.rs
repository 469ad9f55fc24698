//! What is there of clusters in a server that is built without them: nothing.

use std::convert::Infallible;
use std::task::{Context, Poll};
use std::time::Duration;

use async_executor::Task;
use chat_hub::{Closed, Hub, Position};
use chat_proto::Messages;
use chat_session::Publish;

use crate::inside::ClusterState;

/// No options.
#[derive(Debug, clap::Args)]
pub(crate) struct ClusterArgs {}

/// There is none.
#[derive(Clone, Debug)]
pub(crate) struct Cluster(Infallible);

pub(crate) type Appending = Task<()>;

/// Why there is no cluster: that is never tried.
#[derive(Debug, thiserror::Error)]
#[error("this server was built without clusters")]
pub(crate) struct ClusterError;

/// Publishes nothing.
#[derive(Debug)]
pub(crate) struct Publisher(Infallible);

impl Cluster {
    pub(crate) fn check_args(_args: &ClusterArgs) -> Result<(), ClusterError> {
        Ok(())
    }

    pub(crate) fn start(
        _args: &ClusterArgs,
        _hub: &Hub,
    ) -> Result<Option<(Self, Appending)>, ClusterError> {
        Ok(None)
    }

    pub(crate) fn wait(&self, _is_to_end: &mut dyn FnMut() -> bool) -> Result<bool, ClusterError> {
        match self.0 {}
    }

    pub(crate) fn publisher(&self) -> Publisher {
        match self.0 {}
    }

    pub(crate) fn leave(&self, _appending: Appending, _time_max: Duration) {
        match self.0 {}
    }

    pub(crate) fn check(&self) -> Result<(), ClusterError> {
        match self.0 {}
    }

    pub(crate) fn trouble(&self) -> Option<String> {
        match self.0 {}
    }

    pub(crate) fn state(&self) -> ClusterState {
        match self.0 {}
    }

    pub(crate) fn watch(&self, _end: impl FnOnce() + Send + 'static) -> Result<(), ClusterError> {
        match self.0 {}
    }
}

impl ClusterError {
    #[expect(clippy::unused_self, reason = "as with clusters")]
    pub(crate) fn is_usage(&self) -> bool {
        false
    }

    #[expect(clippy::unused_self, reason = "as with clusters")]
    pub(crate) fn is_superseded(&self) -> bool {
        false
    }
}

impl Publish for Publisher {
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<usize, Closed>> {
        match self.0 {}
    }

    fn poll_accept(
        &mut self,
        _: &mut Context<'_>,
        _: &mut Messages<'_>,
    ) -> Poll<Result<(), Closed>> {
        match self.0 {}
    }

    fn pass(&mut self) {
        match self.0 {}
    }

    fn poll_end(&mut self, _: &mut Context<'_>) -> Poll<Result<Position, Closed>> {
        match self.0 {}
    }
}
