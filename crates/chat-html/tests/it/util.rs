use chat_html::{Conformance, Document, Page};
use chat_results::{Order, Results, Verdict, sample};
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
