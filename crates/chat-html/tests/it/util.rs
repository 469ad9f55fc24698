use std::collections::BTreeMap;

use chat_html::{Conformance, Document, Page};
use chat_results::comparison::{
    Comparison, Contender, Figure, Outcome, Placement, Standing, Workload,
};
use chat_results::gallery::{
    Card, Conformed, Excerpt, FailedCase, GALLERY_VERSION, Gallery, Proof, Row, RowStanding, Source,
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

/// Returns a gallery of a right row, a wrong one, one that was skipped and a design that is to be wrong.
/// `text` stands wherever a row can put text.
pub(crate) fn gallery(text: &str) -> Gallery {
    let row = |name: &str, expect: &str, standing: RowStanding| Row {
        name: name.to_owned(),
        card: Card {
            style: "threads".to_owned(),
            order: format!("the lock{text}"),
            expect: expect.to_owned(),
            twin: name.starts_with("wrong/").then(|| "rust/right".to_owned()),
            story: Some(format!("natural{text}")),
            notes: vec![format!("a note{text}")],
            ..Card::default()
        },
        checked: "2026-01-02T03:04:05Z".to_owned(),
        standing,
        versions: Vec::new(),
        source: Some(Source {
            code_lines: 123,
            excerpts: vec![Excerpt {
                file: "main.rs".to_owned(),
                first_line: 7,
                text: format!("let order = lock;{text}"),
            }],
            ..Source::default()
        }),
        build: None,
        conformance: Some(Conformed {
            passed: 112,
            skipped: 0,
            failed: vec![FailedCase {
                id: "rule-1/some".to_owned(),
                level: "SHOULD".to_owned(),
                what: format!("what{text}"),
                story: format!("bytes{text}"),
            }],
        }),
        loads: vec![Proof {
            name: "classic".to_owned(),
            load: "some publishers".to_owned(),
            runs: 3,
            passed: 2,
            found: Some(("reordered".to_owned(), format!("overtaken{text}"))),
        }],
        footprint: None,
        comparison: (name == "rust/right").then(|| comparison(text)),
    };
    let why = || format!("because{text}");
    let install = vec!["apt-get install it".to_owned()];
    Gallery {
        gallery_version: GALLERY_VERSION,
        environment: Environment::default(),
        rows: vec![
            row("rust/right", "pass", RowStanding::AsExpected),
            row(
                "rust/right-hub",
                "pass",
                RowStanding::Otherwise { why: why() },
            ),
            row(
                "go/left-out",
                "pass",
                RowStanding::Skipped {
                    why: why(),
                    install,
                },
            ),
            row("wrong/rust/bad", "reordered", RowStanding::AsExpected),
        ],
        is_interrupted: false,
    }
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
