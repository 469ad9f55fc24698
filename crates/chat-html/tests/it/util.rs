use std::collections::BTreeMap;

use chat_html::{Conformance, Document, Page};
use chat_results::comparison::{
    Comparison, Contender, Figure, Outcome, Placement, Standing, Workload,
};
use chat_results::statistics::{Estimate, Interval};
use chat_results::{Environment, Load, Order, Results, Verdict, sample};
use scraper::{Html, Selector};
use serde_json::json;

/// Returns the results of a run on this server.
pub(crate) fn run(server: &str) -> Results {
    let mut results = sample::results();
    results.asked.server = server.to_owned();
    results
}

/// Returns the results of a run on a server that broke the order.
pub(crate) fn wrong_run(server: &str, story: &str) -> Results {
    let story = story.to_owned();
    Results {
        order: Order::Broken {
            iteration: 0,
            class: "duplicate".to_owned(),
            story: story.clone(),
        },
        verdict: Verdict::Broken { why: story },
        ..run(server)
    }
}

/// Returns a report in which `text` stands wherever a server can put text, and in the names of the
/// cases.
pub(crate) fn conformance(server: &str, text: &str) -> Conformance {
    let case = |id: &str, level: &str, outcome: &str| {
        json!({
            "id": format!("rule-3/{id}{text}"), "rule": 3, "rule_name": text, "level": level,
            "does": text, "outcome": outcome, "why_skipped": text,
            "failure": (outcome == "failed").then(|| json!({
                "what": text, "hint": text, "stderr": [text], "expected_hex": text, "received_hex": "0161",
                "difference_offset": 1, "sent": [{"client": 0, "total_len": 2, "last_hex": "0162"}],
            })),
        })
    };
    let report = json!({
        "server": server, "strict": false, "passed": false, "took_s": 1.5,
        "cases": [
            case("good", "must", "passed"), case("bad", "must", "failed"),
            case("rude", "should", "failed"), case("left", "must", "skipped"),
        ],
    });
    serde_json::from_value(report).unwrap()
}

/// Returns a comparison of a first server, one that is twice as fast, one that cannot be told from
/// the first, and a wrong one. `text` stands wherever a server can put text.
pub(crate) fn comparison(text: &str) -> Comparison {
    let estimate = |value: f64, spread: f64| Estimate {
        value,
        interval: Some(Interval {
            low: value * (1.0 - spread),
            high: value * (1.0 + spread),
        }),
    };
    let outcome = |ratio: Option<f64>, standing| Outcome {
        rounds: Vec::new(),
        medians: BTreeMap::from([(
            Figure::Deliveries,
            estimate(1e6 * ratio.unwrap_or(1.0), 0.1),
        )]),
        ratios: ratio
            .map(|ratio| (Figure::Deliveries, estimate(ratio, 0.1)))
            .into_iter()
            .collect(),
        standing,
        drop_ratio: 0.01,
    };
    let why = text.to_owned();
    let names = ["first", "twice", "alike", "wrong"].map(|name| format!("{name}{text}"));
    Comparison {
        comparison_version: 1,
        environment: Environment::default(),
        confidence: 0.95,
        decided_count: 3,
        interval_confidence: 0.98,
        rounds: 12,
        seed: "7".to_owned(),
        servers: names
            .map(|name| Contender {
                name,
                command: vec![text.to_owned()],
                protocol: format!("chat{text}"),
                settings: vec![text.to_owned()],
            })
            .into(),
        workloads: vec![Workload {
            name: format!("bulk{text}"),
            about: text.to_owned(),
            placement: Placement::OneProcessor,
            load: Load::default(),
            sweep: None,
            ceiling_deliveries_per_s: None,
            decided: vec![Figure::Deliveries],
            outcomes: vec![
                outcome(None, Standing::Proved),
                outcome(Some(2.0), Standing::Stopped { why: why.clone() }),
                outcome(Some(1.01), Standing::Unproved),
                outcome(Some(3.0), Standing::Wrong { why }),
            ],
            concerns: vec![text.to_owned()],
        }],
        is_interrupted: true,
    }
}

/// Makes a page of documents.
pub(crate) fn page(documents: impl IntoIterator<Item = Document>) -> String {
    let mut page = Page::new();
    for document in documents {
        page.add(document).unwrap();
    }
    page.render()
}

/// Parses a page as browsers do, and fails when anything in it is not as it should be.
#[track_caller]
pub(crate) fn parsed(page: &str) -> Html {
    let html = Html::parse_document(page);
    assert_eq!(html.errors, Vec::<String>::new());
    html
}

/// Returns the text of each element that a selector finds, with single spaces.
pub(crate) fn texts(html: &Html, selector: &str) -> Vec<String> {
    let selector = Selector::parse(selector).unwrap();
    let elements = html.select(&selector).map(|element| {
        let text = element.text().collect::<Vec<_>>().join(" ");
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    });
    elements.collect()
}
