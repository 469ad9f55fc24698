use std::collections::BTreeSet;

use chat_html::Document;
use chat_results::{Verdict, Violation};
use scraper::Html;

use crate::util::{comparison, conformance, gallery, page, parsed, run, wrong_run};

/// Ends whatever it stands in, in a text, an attribute, a title, a style and a picture.
const ATTACK: &str = "\"'></title></style></svg></pre><script>alert(1)</script><img src=http://evil.example/x onerror=alert(1)>&lt;\u{202e}\0";

/// Makes a page in which `text` stands wherever something from elsewhere can.
fn page_of(text: &str) -> String {
    let mut results = wrong_run(&format!("{text}/server {text}"), text);
    results.violations.push(Violation {
        rule: 2,
        story: text.to_owned(),
    });
    results.not_tested.push(text.to_owned());
    results.health.bound_by = Some(text.to_owned());
    let environment = &mut results.asked.environment;
    environment.command = vec![text.to_owned()];
    environment.host = text.to_owned();
    environment.kernel = text.to_owned();
    environment.processor = text.to_owned();
    environment.date = text.to_owned();
    let mut failed = run(text);
    failed.verdict = Verdict::Failed {
        why: vec![text.to_owned()],
    };
    page([
        Document::from(results),
        Document::from(failed),
        Document::Conformance(conformance(text, text)),
        Document::from(comparison(text)),
        Document::from(gallery(text)),
    ])
}

/// Returns the names of all elements, and those of all attributes.
fn names(html: &Html) -> (BTreeSet<String>, BTreeSet<String>) {
    let elements = || html.tree.values().filter_map(|node| node.as_element());
    let attributes = elements().flat_map(|element| element.attrs());
    (
        elements()
            .map(|element| element.name().to_owned())
            .collect(),
        attributes.map(|(name, _)| name.to_owned()).collect(),
    )
}

#[test]
fn text_from_a_server_is_never_markup() {
    let attacked = parsed(&page_of(ATTACK));
    let harmless = parsed(&page_of("a server"));
    assert_eq!(names(&attacked), names(&harmless));
    let shown: String = attacked.root_element().text().collect();
    assert!(
        shown.contains("<script>alert(1)</script>"),
        "it is shown as it is"
    );
    assert!(
        !shown.contains(['\u{202e}', '\0']),
        "what is not seen is replaced"
    );
}

#[test]
fn no_page_refers_to_anything_outside_itself() {
    let source = page_of("a server");
    assert!(!source.contains("://") && !source.contains("url("));
    let (elements, attributes) = names(&parsed(&source));
    for element in [
        "script", "img", "link", "iframe", "object", "use", "image", "base", "form",
    ] {
        assert!(!elements.contains(element), "{element}");
    }
    assert!(!attributes.contains("src") && !attributes.contains("style"));
    assert!(
        !attributes.iter().any(|name| name.starts_with("on")),
        "{attributes:?}"
    );
    let attacked = parsed(&page_of(ATTACK));
    for element in attacked.tree.values().filter_map(|node| node.as_element()) {
        let href = element.attr("href").unwrap_or("#");
        assert!(href.starts_with('#'), "{href}");
    }
}
