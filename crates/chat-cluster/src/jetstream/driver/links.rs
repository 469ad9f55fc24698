//! Whether the stream is there.

use std::time::Instant;

use super::{Driver, End};
use crate::jetstream::State;
use crate::jetstream::connect::Connection;
use crate::jetstream::shared::Shared;

/// What does not work, and what is known of the reasons.
#[derive(Debug, Default)]
pub(super) struct Links {
    pub(super) connection: Option<String>,
    pub(super) reading: Option<String>,
    pub(super) publishing: Option<String>,
    /// What NATS refused since it took something last.
    pub(super) refused: Option<String>,
    /// Since when something does not work.
    since: Option<Instant>,
}

impl Links {
    /// Returns what does not work, if anything does not.
    pub(super) fn trouble(&self) -> Option<String> {
        let Self {
            connection,
            reading,
            publishing,
            refused,
            ..
        } = self;
        let trouble = connection
            .as_ref()
            .or(reading.as_ref())
            .or(publishing.as_ref())?;
        Some(match refused {
            Some(refused) => format!("{trouble}; NATS says: {refused}"),
            None => trouble.clone(),
        })
    }
}

impl Driver<'_> {
    pub(super) fn take_connection(&mut self, event: Option<Connection>) -> Result<(), End> {
        match event {
            Some(Connection::Lost) if self.links.connection.is_none() => {
                self.links.connection = Some("the connection to NATS is lost".to_owned());
                self.entries = None;
                self.opening = None;
                self.checking = None;
                self.show_links();
            }
            Some(Connection::Made) if self.links.connection.is_some() => {
                self.links = Links {
                    since: self.links.since,
                    reading: Some("the stream does not answer yet".to_owned()),
                    ..Links::default()
                };
                self.shared.lock().figures.reconnects += 1;
                // Answers to what was sent before will not come.
                self.publish_again();
                self.open(std::time::Duration::ZERO);
            }
            Some(Connection::Refused(why)) => {
                if self.join_deadline.is_some() && is_permission(&why) {
                    return Err(End::Permission(why));
                }
                self.links.refused = Some(why);
                self.show_links();
            }
            _ => {}
        }
        Ok(())
    }

    /// Has the state say whether the stream is there.
    pub(super) fn show_links(&mut self) {
        let trouble = self.links.trouble();
        if trouble.is_none() {
            self.links.since = None;
        }
        let state = match (self.join_deadline, trouble) {
            (Some(_), trouble) => State::Joining { trouble },
            (None, None) => State::Serving,
            (None, Some(trouble)) => State::Away {
                since: *self.links.since.get_or_insert_with(Instant::now),
                trouble,
            },
        };
        show(self.shared, state);
    }

    /// Fails when the node had to be serving by now.
    pub(super) fn check_deadline(&self) -> Result<(), End> {
        let now = tokio::time::Instant::now();
        match self.join_deadline.filter(|deadline| *deadline <= now) {
            None => Ok(()),
            Some(_) => Err(End::Unreachable(self.links.trouble().unwrap_or_else(
                || "what the node has published did not come back in time".to_owned(),
            ))),
        }
    }
}

/// Sets the state, unless nobody need be told of the difference.
pub(super) fn show(shared: &Shared, state: State) {
    let before = shared.lock().state.clone();
    if !is_same(&before, &state) {
        shared.set_state(state);
    }
}

/// Returns whether NATS says that it does not permit something.
pub(super) fn is_permission(why: &str) -> bool {
    why.to_ascii_lowercase().contains("permissions violation")
}

/// Returns whether nobody need be told of the difference.
fn is_same(before: &State, after: &State) -> bool {
    match (before, after) {
        (State::Joining { trouble: before }, State::Joining { trouble }) => before == trouble,
        (
            State::Away {
                trouble: before, ..
            },
            State::Away { trouble, .. },
        ) => before == trouble,
        (State::Serving, State::Serving) => true,
        _ => false,
    }
}
