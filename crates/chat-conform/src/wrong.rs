//! Why a case did not pass.

use std::io;

use chat_target::ServerError;

use crate::story::first_difference;

/// Why a case did not pass.
#[derive(Debug)]
pub(crate) enum Wrong {
    /// The server did something else than it should.
    Broken(Box<Broken>),
    /// Here and now the case says nothing.
    Skipped(String),
    /// The executable cannot be started, so no case says anything.
    CannotStart(ServerError),
}

impl Wrong {
    /// Makes a failure that no bytes tell of.
    pub(crate) fn broken(what: impl Into<String>) -> Self {
        Self::Broken(Box::new(Broken {
            what: what.into(),
            client: None,
            expected: Vec::new(),
            received: Vec::new(),
            offset: None,
        }))
    }

    /// Makes a skip of something that this machine does not let the case do.
    pub(crate) fn of_machine(error: io::Error) -> Self {
        Self::Skipped(format!("this machine does not let it: {error}"))
    }

    /// Adds what was expected, if nothing is said of that.
    pub(crate) fn expecting(mut self, expected: &[u8]) -> Self {
        if let Self::Broken(broken) = &mut self
            && broken.expected.is_empty()
        {
            broken.expected = expected.to_vec();
            broken.offset = first_difference(expected, &broken.received);
        }
        self
    }
}

impl From<ServerError> for Wrong {
    fn from(error: ServerError) -> Self {
        match error {
            ServerError::Start { .. } => Self::CannotStart(error),
            ServerError::Interrupted => Self::Skipped("interrupted".to_owned()),
            // The lines that follow are told of anyway.
            error => {
                let what = error.to_string();
                Self::broken(what.lines().next().unwrap_or_default())
            }
        }
    }
}

/// What the server did.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) what: String,
    pub(crate) client: Option<usize>,
    pub(crate) expected: Vec<u8>,
    pub(crate) received: Vec<u8>,
    pub(crate) offset: Option<usize>,
}

/// Fails unless `condition` holds.
pub(crate) fn ensure(condition: bool, what: impl FnOnce() -> String) -> Result<(), Wrong> {
    if condition {
        Ok(())
    } else {
        Err(Wrong::broken(what()))
    }
}
