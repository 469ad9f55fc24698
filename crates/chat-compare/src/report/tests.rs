use std::collections::BTreeMap;

use chat_results::comparison::{COMPARISON_VERSION, Contender, Round, SweepPoint};
use chat_results::statistics::Interval;
use chat_results::{Environment, Load};
use unicode_width::UnicodeWidthStr;

use super::*;

fn estimate(value: f64, low: f64, high: f64) -> Estimate {
    Estimate {
        value,
        interval: Some(Interval { low, high }),
    }
}

fn outcome(value: f64, ratio: Option<Estimate>, standing: Standing) -> Outcome {
    Outcome {
        rounds: vec![Round {
            figures: [(Figure::Deliveries, value)].into(),
            ..Round::default()
        }],
        medians: [(Figure::Deliveries, estimate(value, value, value))].into(),
        ratios: ratio
            .into_iter()
            .map(|it| (Figure::Deliveries, it))
            .collect(),
        standing,
        drop_ratio: 0.02,
    }
}

fn comparison(last: Standing) -> Comparison {
    let names = ["one, with a name that is long", "same", "slow", "other"];
    let outcomes = vec![
        outcome(2e6, None, Standing::Proved),
        outcome(2.01e6, Some(estimate(1.005, 0.97, 1.03)), Standing::Proved),
        outcome(1e6, Some(estimate(0.5, 0.45, 0.55)), Standing::Proved),
        outcome(298e6, Some(estimate(149.0, 140.0, 160.0)), last),
    ];
    Comparison {
        comparison_version: COMPARISON_VERSION,
        environment: Environment::default(),
        confidence: 0.95,
        decided_count: 3,
        interval_confidence: 0.983,
        rounds: 12,
        seed: "7".to_owned(),
        servers: names
            .map(|name| Contender {
                name: name.to_owned(),
                command: vec!["./server".to_owned()],
                protocol: "chat".to_owned(),
                settings: Vec::new(),
            })
            .into(),
        workloads: vec![Workload {
            name: "bulk".to_owned(),
            about: "A sentence about it that is a little longer than a narrow terminal is wide."
                .to_owned(),
            placement: Placement::AllProcessors,
            load: Load::default(),
            sweep: Some(SweepPoint::Window(1)),
            ceiling_deliveries_per_s: Some(9e6),
            decided: vec![Figure::Deliveries],
            outcomes,
            concerns: vec!["the machine is busy".to_owned()],
        }],
        is_interrupted: false,
    }
}

fn shown(comparison: &Comparison) -> String {
    shown_with(comparison, table::Styling::Plain)
}

fn shown_with(comparison: &Comparison, styling: table::Styling) -> String {
    let mut out = Vec::new();
    table::write(comparison, styling, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_table_fits_60_columns_and_tells_what_differs() {
    let text = shown(&comparison(Standing::Proved));
    assert!(text.lines().all(|line| line.width() <= 60), "{text}");
    for told in [
        "not distinguishable",
        "0.50x 0.45..0.55",
        "149x 140..160",
        "2 % dropped",
        "the machine is busy",
        "can do 9 M/s",
    ] {
        assert!(text.contains(told), "{told}: {text}");
    }
}

#[test]
fn a_fast_wrong_server_is_struck_out() {
    let why = "a message came twice".to_owned();
    let wrong = comparison(Standing::Wrong { why: why.clone() });
    let text = shown(&wrong);
    assert!(
        text.contains("    298 M/s WRONG: void") && text.contains(&why),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'), "{text}");
    // The figure, and once more in the curve of the sweep.
    let styled = shown_with(&wrong, table::Styling::Ansi);
    let struck = "    \u{1b}[9m298 M/s\u{1b}[0m ";
    assert_eq!(styled.matches(struck).count(), 2, "{styled:?}");
    let seen = console::strip_ansi_codes(&styled);
    for text in [&text, &*seen] {
        assert!(text.lines().all(|line| line.width() <= 60), "{text}");
    }
    assert!(!text.contains("149x"), "{text}");
    let longest = text.lines().find(|line| line.contains("2.01 M/s")).unwrap();
    assert!(
        longest.contains(&"\u{2588}".repeat(12)),
        "bars are of those that count: {text}"
    );
    let mut markdown = String::new();
    markdown::write(&wrong, &mut markdown).unwrap();
    assert!(
        markdown.contains("~~298 M/s~~") && markdown.contains(&why),
        "{markdown}"
    );
    assert_eq!(exit_code(&wrong), 3);
}

#[test]
fn exit_codes_tell_the_worst() {
    let mut comparison = comparison(Standing::Proved);
    assert_eq!(exit_code(&comparison), 0);
    comparison.workloads[0].outcomes[1].standing = Standing::Stopped {
        why: "died".to_owned(),
    };
    assert_eq!(exit_code(&comparison), 1);
    comparison.is_interrupted = true;
    assert_eq!(exit_code(&comparison), 130);
    comparison.workloads.clear();
    assert_eq!(exit_code(&comparison), 130);
}

#[test]
fn files_have_a_line_for_each_round_and_are_read_back() {
    let comparison = comparison(Standing::Proved);
    let text = csv::table(&comparison);
    let widths: Vec<_> = text
        .lines()
        .skip(2)
        .map(|line| line.split(',').count())
        .collect();
    assert_eq!(widths, [17; 3], "{text}");
    assert!(
        text.contains("\"one, with a name that is long\",proved,0,0,2000000,"),
        "{text}"
    );
    let text = json::to_text(&comparison).unwrap();
    assert_eq!(json::from_text(&text).unwrap(), comparison);
    let mut broken = comparison;
    broken.workloads[0].outcomes[0].medians =
        BTreeMap::from([(Figure::P50, estimate(f64::NAN, 0.0, 0.0))]);
    assert!(json::to_text(&broken).is_err());
}
