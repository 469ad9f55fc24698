//! All cases, a module for each rule.

mod flood;
mod rule_1;
mod rule_10;
mod rule_2;
mod rule_3;
mod rule_4;
mod rule_5;
mod rule_6;
mod rule_7;
mod rule_8;
mod rule_9;

use crate::case::Case;
use crate::trial::Trial;
use crate::wrong::Wrong;

/// Returns all cases, in the order of the rules.
pub fn all() -> impl Iterator<Item = &'static Case> {
    BY_RULE.into_iter().flatten()
}

/// Returns where a case stands among all.
pub(crate) fn position(case: &Case) -> usize {
    all()
        .position(|other| other.id() == case.id())
        .expect("a case is one of all")
}

/// Does what all cases begin with, and returns the case that is about the first thing that fails:
/// the server gets ready, clients can connect, and a client hears itself.
pub(crate) fn probe(trial: &mut Trial<'_>) -> Result<(), (&'static str, Wrong)> {
    trial.serve().map_err(|wrong| (READY, wrong))?;
    let client = trial.connect().map_err(|wrong| (CONNECTABLE, wrong))?;
    rule_4::hears_itself(client).map_err(|wrong| (ECHO, wrong))
}

/// The case that fails when the server never gets ready.
const READY: &str = "rule-2/ready-line";

/// The case that fails when nobody can connect to a server that said it is ready.
const CONNECTABLE: &str = "rule-2/connectable-when-ready";

/// The case that fails when a client alone does not hear itself.
const ECHO: &str = "rule-4/sender-included";

const BY_RULE: [&[Case]; 10] = [
    rule_1::CASES,
    rule_2::CASES,
    rule_3::CASES,
    rule_4::CASES,
    rule_5::CASES,
    rule_6::CASES,
    rule_7::CASES,
    rule_8::CASES,
    rule_9::CASES,
    rule_10::CASES,
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_distinct_and_belong_to_their_rules() {
        let ids: HashSet<_> = all().map(Case::id).collect();
        assert_eq!(ids.len(), all().count());
        for (cases, number) in BY_RULE.into_iter().zip(1..) {
            assert!(!cases.is_empty());
            for case in cases {
                assert_eq!(case.rule().number(), number, "{}", case.id());
            }
        }
        for id in [READY, CONNECTABLE, ECHO] {
            assert!(ids.contains(id), "{id}");
        }
    }

    #[test]
    fn sentences_are_sentences() {
        for case in all() {
            assert!(case.does().ends_with('.'), "{}", case.id());
            assert!(case.hint().ends_with('.'), "{}", case.id());
            assert!(case.id().len() <= 48, "{}", case.id());
        }
    }
}
