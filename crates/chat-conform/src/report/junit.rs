//! A report as JUnit XML.

use std::io;

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

use crate::report::{CaseResult, Outcome, Report};
use crate::rules::Rule;

pub(super) fn write(report: &Report, out: impl io::Write) -> io::Result<()> {
    let mut suites = quick_junit::Report::new(report.server.as_str());
    suites.set_time(report.took());
    for rule in Rule::all() {
        let name = format!("rule-{}: {}", rule.number(), rule.name());
        let mut suite = TestSuite::new(name);
        let results = report.results().iter();
        let of_rule = results.filter(|result| result.case.rule() == rule);
        suite.add_test_cases(of_rule.map(|result| test_case(result, report.is_strict)));
        if !suite.test_cases.is_empty() {
            suites.add_test_suite(suite);
        }
    }
    suites.serialize(out).map_err(io::Error::other)
}

/// Makes a test case of a result. A failure that does not count is a skip that says so: readers of
/// JUnit XML know no third thing.
fn test_case(result: &CaseResult, is_strict: bool) -> TestCase {
    let mut status = match &result.outcome {
        Outcome::Passed => TestCaseStatus::success(),
        Outcome::Failed(_) if result.counts(is_strict) => {
            TestCaseStatus::non_success(NonSuccessKind::Failure)
        }
        Outcome::Failed(_) | Outcome::Skipped { .. } => TestCaseStatus::skipped(),
    };
    match &result.outcome {
        Outcome::Passed => {}
        Outcome::Skipped { why } => {
            status.set_message(why.as_str());
        }
        Outcome::Failed(failure) => {
            let level = result.case.level().to_string();
            status.set_message(format!("{level}: {}", failure.what));
            status.set_type(level);
            status.set_description(failure.to_string());
        }
    }
    let mut case = TestCase::new(result.case.id(), status);
    case.set_classname(format!("rule-{}", result.case.rule().number()));
    case.set_time(result.took);
    case
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::case::Level;
    use crate::cases;
    use crate::report::Failure;
    use crate::story::Sent;

    fn xml(outcome: Outcome, level: Level) -> String {
        let case = cases::all().find(|case| case.level() == level).unwrap();
        let report = Report {
            server: "a \"server\" & <more>".to_owned(),
            is_strict: false,
            results: vec![CaseResult {
                case,
                outcome,
                took: Duration::from_millis(1500),
            }],
            took: Duration::from_secs(2),
        };
        let mut xml = Vec::new();
        write(&report, &mut xml).unwrap();
        String::from_utf8(xml).unwrap()
    }

    fn failed() -> Outcome {
        Outcome::Failed(Box::new(Failure {
            what: "5 < 6 & \"so on\" \u{1b}[31m".to_owned(),
            sent: vec![Sent {
                client: 0,
                total_len: 2,
                last_bytes: b"\x01<".to_vec(),
            }],
            expected: b"\x01<".to_vec(),
            received: Vec::new(),
            difference_offset: Some(0),
            stderr: vec!["]]> </failure>\u{0}".to_owned()],
            hint: "it's a test",
        }))
    }

    #[test]
    fn what_xml_cannot_hold_is_escaped_or_left_out() {
        let xml = xml(failed(), Level::Must);
        assert!(
            xml.contains("a &quot;server&quot; &amp; &lt;more&gt;"),
            "{xml}"
        );
        assert!(xml.contains("5 &lt; 6 &amp; &quot;so on&quot;"), "{xml}");
        assert!(!xml.contains("]]> </failure>"), "{xml}");
        assert!(xml.chars().all(|char| !char.is_control() || char == '\n'));
        assert!(xml.contains("failures=\"1\""), "{xml}");
        assert!(xml.contains("time=\"1.500\""), "{xml}");
    }

    #[test]
    fn a_failure_that_does_not_count_is_a_skip() {
        let xml = xml(failed(), Level::Should);
        assert!(xml.contains("<skipped "), "{xml}");
        assert!(xml.contains("failures=\"0\""), "{xml}");
        assert!(xml.contains("SHOULD: 5 &lt; 6"), "{xml}");
    }

    #[test]
    fn a_skip_says_why() {
        let outcome = Outcome::Skipped {
            why: "no IPv6 <here>".to_owned(),
        };
        let xml = xml(outcome, Level::Must);
        assert!(xml.contains("message=\"no IPv6 &lt;here&gt;\""), "{xml}");
    }
}
