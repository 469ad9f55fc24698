//! What the system lets the process have: descriptors for its clients, and threads.

use std::io;
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Says that the system does not let the server have the clients that were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} {needed} open files, but the limit is {limit}: {}", self.need(), self.hint())]
pub(crate) struct ClientsError {
    asked: usize,
    needed: usize,
    limit: usize,
}

impl ClientsError {
    fn need(self) -> String {
        match self.asked {
            1 => "1 client needs".to_owned(),
            asked => format!("{asked} clients need"),
        }
    }

    /// Says what to do.
    fn hint(self) -> String {
        match self.limit.saturating_sub(DESCRIPTORS_RESERVED) {
            0 => "raise it with `ulimit -Hn`".to_owned(),
            possible => {
                let clients = if possible == 1 { "client" } else { "clients" };
                format!("raise it with `ulimit -Hn`, or ask for at most {possible} {clients}")
            }
        }
    }
}

/// Says that the system does not let the server have the threads that it needs.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot start {needed} threads: {source}; raise the limit with `ulimit -u`, or end something"
)]
pub(crate) struct ThreadsError {
    pub(crate) needed: usize,
    pub(crate) source: io::Error,
}

/// Raises the limit on open files as far as the system lets us, and returns how many clients there
/// may be: `asked`, or else as many as there are descriptors for.
pub(crate) fn client_count_max(asked: Option<usize>) -> Result<usize, ClientsError> {
    let limit = raise_open_files();
    let possible = limit.saturating_sub(DESCRIPTORS_RESERVED);
    let asked = asked.unwrap_or(possible.max(1));
    if asked > possible {
        return Err(ClientsError {
            asked,
            needed: asked.saturating_add(DESCRIPTORS_RESERVED),
            limit,
        });
    }
    Ok(asked)
}

/// Makes sure that all threads of the server can be started, by starting as many. Some are started
/// by libraries, which would panic.
pub(crate) fn check_threads() -> Result<(), ThreadsError> {
    let needed = session_thread_count() + OTHER_THREAD_COUNT;
    let gate = Arc::new(Mutex::new(()));
    let closed = gate.lock();
    let started: io::Result<Vec<_>> = (0..needed)
        .map(|_| {
            let gate = Arc::clone(&gate);
            thread::Builder::new().spawn(move || drop(gate.lock()))
        })
        .collect();
    drop(closed);
    let started = started.map_err(|source| ThreadsError { needed, source })?;
    for thread in started {
        let _ = thread.join();
    }
    Ok(())
}

/// Returns how many threads serve clients: one for each processor.
pub(crate) fn session_thread_count() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
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

/// How many threads there are for other things: sockets and timers, the log, signals, the ready line.
const OTHER_THREAD_COUNT: usize = 4;
