use chat_html::Document;
use chat_results::Pacing;
use scraper::{Html, Selector};

use crate::util::{comparison, conformance, gallery, page, parsed, run, texts, wrong_run};

/// Returns a page with all kinds of documents, and two loads.
fn full_page() -> String {
    let mut other_load = run("./server");
    other_load.asked.load.pacing = Pacing::window(9);
    page([
        Document::from(comparison("")),
        Document::from(gallery("")),
        Document::from(run("./server")),
        Document::from(other_load),
        Document::from(wrong_run("./wrong", "twice")),
        Document::Conformance(conformance("./server", "it")),
    ])
}

fn count(html: &Html, selector: &str) -> usize {
    html.select(&Selector::parse(selector).unwrap()).count()
}

#[test]
fn headings_skip_no_level() {
    let html = parsed(&full_page());
    let headings = Selector::parse("h1, h2, h3, h4, h5, h6").unwrap();
    let levels = html
        .select(&headings)
        .map(|heading| heading.value().name()[1..].parse::<u32>().unwrap());
    let levels: Vec<u32> = levels.collect();
    assert_eq!(levels.iter().filter(|level| **level == 1).count(), 1);
    for pair in levels.windows(2) {
        assert!(pair[1] <= pair[0] + 1, "{levels:?}");
    }
    assert!(levels.contains(&3), "{levels:?}");
}

#[test]
fn tables_are_named_and_have_heads_in_both_directions() {
    let html = parsed(&full_page());
    let tables = count(&html, "table");
    assert!(tables > 10, "{tables}");
    for part in ["caption", "thead th[scope=col]", "tbody th[scope=row]"] {
        assert_eq!(
            count(&html, &format!("table:has({part})")),
            tables,
            "{part}"
        );
    }
}

#[test]
fn a_keyboard_reaches_and_names_all_that_scrolls_or_opens() {
    let html = parsed(&full_page());
    let scrolling = count(&html, ".scroll");
    assert!(scrolling > 3, "{scrolling}");
    let reached = ".scroll[tabindex='0'][role=region][aria-label]";
    assert_eq!(count(&html, reached), scrolling);
    assert_eq!(count(&html, "[tabindex]:not([tabindex='0'])"), 0);
    let names = texts(&html, "summary");
    let mut unique = names.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), names.len(), "{names:?}");
    assert_eq!(
        texts(&html, "body > a:first-child"),
        ["Skip to the results"]
    );
    assert_eq!(count(&html, "main#main"), 1);
}

#[test]
fn on_paper_all_details_are_open() {
    let html = parsed(&full_page());
    let style = texts(&html, "style").concat();
    let paper = style.split_once("@media print").unwrap().1;
    for rule in [
        "details::details-content { content-visibility: visible; block-size: auto }",
        ".scroll { overflow: visible }",
        ".skip { display: none }",
    ] {
        assert!(paper.contains(rule), "{rule} is missing");
    }
}

#[test]
fn all_colours_stand_out_on_their_paper() {
    let html = parsed(&full_page());
    let style = texts(&html, "style").concat();
    let themes = style
        .split(":root {")
        .skip(1)
        .map(|theme| theme.split_once('}').unwrap().0);
    let mut count = 0;
    for theme in themes {
        let colours: Vec<(&str, f64)> = theme.split(';').filter_map(colour).collect();
        let of = |name: &str| colours.iter().find(|it| it.0 == name).unwrap().1;
        for (name, luminance) in &colours {
            for paper in ["--paper", "--shade"] {
                let ratio = contrast(*luminance, of(paper));
                // Source: WCAG 2.2, 1.4.3 for text, which names of servers are in the colours of their lines, too.
                let is_text = !["--paper", "--shade", "--rule"].contains(name);
                assert!(!is_text || ratio >= 4.5, "{name} on {paper}: {ratio:.2}");
            }
            count += 1;
        }
    }
    assert_eq!(count, 3 * 15, "three themes have all colours");
}

/// Returns the name and the relative luminance of a colour, if this is one.
///
/// Source: WCAG 2.2, relative luminance.
fn colour(declaration: &str) -> Option<(&str, f64)> {
    let (name, value) = declaration.split_once(':')?;
    let hex = value.trim().strip_prefix('#')?;
    let part = |from: usize| {
        let part = f64::from(u8::from_str_radix(&hex[from..from + 2], 16).unwrap()) / 255.0;
        if part <= 0.04045 {
            part / 12.92
        } else {
            ((part + 0.055) / 1.055).powf(2.4)
        }
    };
    Some((
        name.trim(),
        0.2126 * part(0) + 0.7152 * part(2) + 0.0722 * part(4),
    ))
}

fn contrast(one: f64, other: f64) -> f64 {
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}
