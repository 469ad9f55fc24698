//! Which loads there can be.

use chat_load::burst_len_min;
use chat_results::{Check, Load, Quantity};
use chat_target::raise_descriptor_limit;
use chat_trace::{CLIENTS_MAX, LOAD_MAX, MEMORY_MAX, Topology, memory_len};

use crate::failure::Failure;

/// Checks that there can be such a load.
///
/// # Errors
///
/// When it makes no sense, and when it is more than can be told apart, counted or remembered.
pub fn check_load(load: &Load) -> Result<(), LoadError> {
    check_sense(load)?;
    let clients = load.resident_count();
    if clients > CLIENTS_MAX.into() {
        return Err(LoadError::Clients { clients });
    }
    if clients * u64::from(load.publishers) > CELLS_MAX {
        return Err(LoadError::Cells {
            clients,
            publishers: load.publishers,
        });
    }
    let Some(messages) = load.messages else {
        return Ok(());
    };
    let messages = u64::from(load.publishers) * u64::from(messages);
    if messages > LOAD_MAX.into() {
        return Err(LoadError::Messages { messages });
    }
    let burst_count = messages.div_ceil(burst_len_min(load.pacing).into());
    let memory_len = memory_len(Topology::of(load), load.check, messages, burst_count);
    if memory_len > MEMORY_MAX {
        return Err(LoadError::Memory {
            messages,
            clients,
            memory_len,
            check: load.check,
        });
    }
    Ok(())
}

fn check_sense(load: &Load) -> Result<(), LoadError> {
    for (what, count) in [
        ("publishers", load.publishers),
        ("subscribers", load.subscribers),
        ("repetitions", load.repetitions),
        ("messages", load.messages.unwrap_or(1)),
        ("bytes a second of slow clients", load.slow.bytes_per_s),
    ] {
        if count == 0 {
            return Err(LoadError::Nothing { what });
        }
    }
    if load.messages.is_none() && load.duration.is_none() {
        return Err(LoadError::Endless);
    }
    let is_rate = |rate: f64| rate.is_finite() && rate > 0.0;
    let rates = [load.pacing.rate(), load.connect_rate];
    if !rates.into_iter().flatten().all(is_rate) || !(load.churn == 0.0 || is_rate(load.churn)) {
        return Err(LoadError::Rate);
    }
    let in_flight = load.pacing.in_flight().unwrap_or(0);
    if in_flight > WINDOW_MAX {
        return Err(LoadError::Window);
    }
    if load.repetitions > REPETITIONS_MAX {
        return Err(LoadError::Repetitions);
    }
    Ok(())
}

/// Why there can be no such load.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A number is zero that has to be more.
    #[error("a load needs {what}, and 0 is none")]
    Nothing {
        /// Which number.
        what: &'static str,
    },
    /// Nothing ends a repetition.
    #[error("a load needs a number of messages or a duration, or it never ends")]
    Endless,
    /// A rate is none.
    #[error("a rate has to be a number above 0")]
    Rate,
    /// There is too much in flight.
    #[error("a window may be up to {WINDOW_MAX} messages")]
    Window,
    /// Tags cannot tell so many repetitions apart.
    #[error("repetitions may be up to {REPETITIONS_MAX}")]
    Repetitions,
    /// Tags cannot tell so many clients apart.
    #[error(
        "{clients} clients are too many: publishers times (1 + subscribers) and slow ones may be up to {CLIENTS_MAX}"
    )]
    Clients {
        /// How many clients there are from the beginning to the end.
        clients: u64,
    },
    /// To know how far each client is with each publisher takes too much memory.
    #[error(
        "{clients} clients of {publishers} publishers are too many: clients times publishers may be up to {CELLS_MAX}"
    )]
    Cells {
        /// How many clients there are from the beginning to the end.
        clients: u64,
        /// How many of them send.
        publishers: u32,
    },
    /// Records cannot number so many messages.
    #[error("{messages} messages are too many: publishers times messages may be up to {LOAD_MAX}")]
    Messages {
        /// How many messages all publishers send.
        messages: u64,
    },
    /// To check so many deliveries takes too much memory.
    #[error("{messages} messages to {clients} clients take {} to check, which is more than {}: take {}fewer messages in more repetitions", shown(*memory_len), shown(MEMORY_MAX), instead(*check))]
    Memory {
        /// How many messages all publishers send.
        messages: u64,
        /// How many clients there are from the beginning to the end.
        clients: u64,
        /// How many bytes they take.
        memory_len: u64,
        /// How much is checked.
        check: Check,
    },
}

/// Raises the limit of open files as far as it goes, and checks that it suffices for `client_count`
/// connections.
pub(crate) fn check_descriptors(client_count: u64) -> Result<(), Failure> {
    let needed = client_count + DESCRIPTORS_RESERVED;
    match raise_descriptor_limit() {
        Some(limit) if limit < needed => Err(Failure::Descriptors { needed, limit }),
        _ => Ok(()),
    }
}

fn shown(memory_len: u64) -> String {
    Quantity::Memory.show((memory_len >> 10) as f64)
}

/// Tells what takes less memory, if anything does.
fn instead(check: Check) -> &'static str {
    if check == Check::Full {
        "--check basic, or "
    } else {
        ""
    }
}

/// How many messages a publisher may have in flight. A judgement: 16 MiB of the longest.
pub const WINDOW_MAX: u32 = 1 << 16;

/// How many repetitions a tag can tell apart.
pub const REPETITIONS_MAX: u32 = 1 << 16;

/// How many pairs of a client and a publisher there can be: what is known of each takes eight
/// bytes. A judgement: 512 MiB.
const CELLS_MAX: u64 = 1 << 26;

/// How many descriptors are for other things than connections: three standard streams, the server's
/// output, polling, signals; doubled.
const DESCRIPTORS_RESERVED: u64 = 32;
