//! The rules of the specification that are not about the order.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use chat_load::Conduct;
use chat_results::{Load, Pacing, Violation};
use chat_target::{Ending, LastLines};

use crate::known::ProtocolName;

/// How a server ended that was started for a run.
#[derive(Debug)]
pub(crate) struct Departure {
    pub(crate) ending: Ending,
    /// How long it had after SIGTERM.
    pub(crate) grace: Duration,
    /// How many lines it had printed on standard output.
    pub(crate) line_count: u64,
    /// How many it may print.
    pub(crate) line_count_max: u64,
    /// Why its log could not be written to its end.
    pub(crate) log_error: Option<io::Error>,
    /// The last that it had printed.
    pub(crate) lines: LastLines,
}

/// Lists the rules that a server, or one of several, broke by what it printed, when clients left, and when it was ended.
/// `cut_off` tells of a client that it closed though that kept up. How it ended tells only of one
/// that had come to its end, which is when all clients had left.
pub(crate) fn violations(
    conduct: &Conduct,
    cut_off: Option<String>,
    (departures, end): (&[Departure], End),
    timeout: Duration,
) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut add = |rule, story: Option<String>| {
        violations.extend(story.map(|story| Violation { rule, story }));
    };
    add(2, departures.iter().find_map(surplus_output));
    add(6, cut_off);
    add(9, conduct.closed_early.clone());
    add(9, conduct.broken_off.clone());
    let left_open = (conduct.left_open > 0).then(|| {
        let connections = match conduct.left_open {
            1 => "1 connection".to_owned(),
            count => format!("{count} connections"),
        };
        format!(
            "it left {connections} open for {} s after the clients had ended their sending side",
            timeout.as_secs_f64()
        )
    });
    add(9, left_open);
    if end == End::Orderly {
        add(10, departures.iter().find_map(wrong_ending));
    }
    violations
}

/// How the load ended before the server did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// All of it was done, and all clients have left.
    Orderly,
    /// It broke off, so that the server may have been busy, or gone.
    Early,
}

fn surplus_output(departure: &Departure) -> Option<String> {
    let Departure {
        line_count,
        line_count_max,
        lines,
        ..
    } = departure;
    let surplus = lines
        .stdout()
        .iter()
        .find(|line| !line.starts_with("listening on "));
    let is_broken = line_count > line_count_max || surplus.is_some();
    let surplus = surplus.or(lines.stdout().last());
    is_broken.then(|| {
        format!(
            "it printed {line_count} lines on standard output, where only the ready line belongs; one is `{}`",
            surplus.map_or("", String::as_str)
        )
    })
}

fn wrong_ending(departure: &Departure) -> Option<String> {
    let status = match departure.ending {
        Ending::Terminated(status) if status.success() => return None,
        Ending::Terminated(status) => status,
        Ending::Earlier(status) => {
            return Some(format!(
                "it ended by itself after the last client had left: {status}"
            ));
        }
        Ending::Killed => {
            let grace = departure.grace.as_secs_f64();
            return Some(format!("it did not end within {grace} s after SIGTERM"));
        }
    };
    Some(match status.signal() {
        Some(_) => format!("it died of SIGTERM instead of exiting with code 0: {status}"),
        None => format!("it ended after SIGTERM, but not with code 0: {status}"),
    })
}

/// Lists what a run of this kind does not test, in sentences.
pub(crate) fn not_tested(
    load: &Load,
    conduct: &Conduct,
    is_executable: bool,
    protocol: ProtocolName,
) -> Vec<String> {
    let mut not_tested = Vec::new();
    let mut add = |is_missing: bool, what: &str| {
        if is_missing {
            not_tested.push(what.to_owned());
        }
    };
    let is_chat = protocol == ProtocolName::Chat;
    if !is_chat {
        add(
            true,
            &format!(
                "rules 1, 2, 3, 9 and 10, which are conventions of the chat (the server speaks {protocol})"
            ),
        );
    }
    add(
        is_chat && !is_executable,
        "rules 1, 2 and 10, which are about an executable that the run starts",
    );
    add(
        !load.publishers_read,
        "rules 4 and 5 for publishers, since they do not read: their own messages, and answers to those \
         of others",
    );
    add(load.pacing == Pacing::LOCK_STEP, ORDER_IN_FLIGHT);
    add(
        load.stalled == 0 && load.slow.count == 0,
        "rule 6 for clients that do not keep up (--stalled, --slow)",
    );
    add(
        load.churn == 0.0,
        "rule 7 for clients that join under load (--churn)",
    );
    if !load.cuts {
        add(true, "rule 8 (--no-cuts)");
    } else if let Some(error) = &conduct.no_quitter {
        add(
            true,
            &format!(
                "rule 8, since a client that was to leave inside a message could not connect: {error}"
            ),
        );
    }
    if is_chat {
        add(
            conduct.has_dropped_last,
            "rule 9 for a client's own last messages, since messages were dropped",
        );
    }
    not_tested
}

/// What a load with one message in flight does not test.
pub(crate) const ORDER_IN_FLIGHT: &str =
    "rule 5 for messages of one sender that are under way together (--window)";
