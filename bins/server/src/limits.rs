//! How many clients the process has descriptors for.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Says that the system does not let the server have the clients that were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{asked} clients need {needed} open files, but the limit is {limit}: {}", self.hint())]
pub(crate) struct LimitsError {
    asked: usize,
    needed: usize,
    limit: usize,
}

impl LimitsError {
    /// Says what to do.
    fn hint(self) -> String {
        match self.limit.saturating_sub(DESCRIPTORS_RESERVED) {
            0 => "raise it with `ulimit -Hn`".to_owned(),
            possible => {
                format!("raise it with `ulimit -Hn`, or ask for at most {possible} clients")
            }
        }
    }
}

/// Raises the limit on open files as far as the system lets us, and returns how many clients there
/// may be: `asked`, or else as many as there are descriptors for.
pub(crate) fn client_count_max(asked: Option<usize>) -> Result<usize, LimitsError> {
    let limit = raise_open_files();
    let possible = limit.saturating_sub(DESCRIPTORS_RESERVED);
    let asked = asked.unwrap_or(possible.max(1));
    if asked > possible {
        return Err(LimitsError {
            asked,
            needed: asked.saturating_add(DESCRIPTORS_RESERVED),
            limit,
        });
    }
    Ok(asked)
}

/// Raises the soft limit on open files to the hard one and returns what it is then.
fn raise_open_files() -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    ) {
        tracing::warn!("cannot raise the limit on open files: {error}");
    }
    getrlimit(Resource::Nofile)
        .current
        .map_or(usize::MAX, |limit| {
            usize::try_from(limit).unwrap_or(usize::MAX)
        })
}

/// How many descriptors are kept for all that is no client: the standard streams, the listener, the
/// runtime's, the one a surplus client has until it is closed. A judgement, with room to spare.
const DESCRIPTORS_RESERVED: usize = 32;
