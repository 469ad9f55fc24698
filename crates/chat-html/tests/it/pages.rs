use std::collections::BTreeSet;

use chat_html::{DOCUMENT_COUNT_MAX, Document, PAGE_LEN_MAX, Page, PageError};
use chat_results::comparison::{Figure, SweepPoint};
use chat_results::{Isolation, Pacing};
use scraper::Selector;

use crate::util::{comparison, conformance, gallery, page, parsed, run, texts, wrong_run};

#[test]
fn a_page_has_all_that_its_documents_have() {
    let mut disturbed = run("./server");
    disturbed.isolation = Some(Isolation {
        deliveries: Some(0.5),
        p99: Some(2.0),
        cpu: None,
        rss: None,
    });
    let html = parsed(&page([
        Document::from(disturbed),
        Document::Conformance(conformance("./server", "it")),
    ]));
    assert_eq!(texts(&html, "h1"), ["server"]);
    let sections = ["At a glance", "The specification, case by case", "Latency"];
    let more = ["Speed, cost and drops", "Over time", "Commands and machine"];
    assert_eq!(texts(&html, "h2"), [&sections[..], &more].concat());
    let figures = texts(&html, "#figures tbody tr");
    assert!(figures.contains(&"server 2 M/s".to_owned()), "{figures:?}");
    assert!(figures.contains(&"server 0.50×".to_owned()), "{figures:?}");
}

#[test]
fn a_wrong_server_is_shown_as_wrong_and_its_figures_are_struck_out() {
    let html = parsed(&page([
        Document::from(run("./right")),
        Document::from(wrong_run("./wrong", "twice")),
    ]));
    let rows = texts(&html, "#glance tbody tr");
    assert!(
        rows[0].starts_with("right ✓ passed proved 2 M/s "),
        "{rows:?}"
    );
    assert!(
        rows[1].starts_with("wrong ✗ wrong broken 2 M/s (void: the server is wrong)"),
        "{rows:?}"
    );
    // Every figure of the wrong server, and none of the right one.
    let rows = Selector::parse("#glance tbody tr, #figures tbody tr").unwrap();
    let struck = Selector::parse("td.number s").unwrap();
    let figures = Selector::parse("td.number").unwrap();
    for row in html.select(&rows) {
        let is_wrong = row.text().any(|text| text == "wrong");
        let expected = if is_wrong {
            row.select(&figures).count()
        } else {
            0
        };
        assert_eq!(row.select(&struck).count(), expected, "{:?}", row.html());
    }
    assert_eq!(texts(&html, "p.why"), ["wrong : ✗ wrong — twice"]);
}

#[test]
fn a_comparison_says_which_differences_are_real() {
    let json = serde_json::to_string(&comparison("")).unwrap();
    let html = parsed(&page([Document::read(&json).unwrap()]));
    assert_eq!(texts(&html, "h1"), ["first, twice, alike and wrong"]);
    let rows = texts(&html, ".comparison .bars tbody tr");
    assert_eq!(
        rows,
        [
            "first 1 M/s 900 K/s to 1.1 M/s",
            "twice 2 M/s 1.8 M/s to 2.2 M/s, 2.00× (1.80 to 2.20) the first",
            "alike 1.01 M/s 909 K/s to 1.111 M/s, 1.01× (0.91 to 1.11) the first: not distinguishable",
            "wrong 3 M/s (void: the server is wrong) 2.7 M/s to 3.3 M/s",
        ]
    );
    assert_eq!(
        texts(&html, ".comparison .bars s"),
        ["3 M/s", "2.7 M/s to 3.3 M/s"]
    );
    let standings = texts(&html, ".standings li");
    assert_eq!(standings[0], "first : ✓ order proved , dropped 1 %");
    assert!(standings[3].starts_with("wrong : ✗ wrong"), "{standings:?}");
}

#[test]
fn a_gallery_has_a_table_and_a_page_a_row() {
    let json = serde_json::to_string(&gallery("")).unwrap();
    let html = parsed(&page([Document::read(&json).unwrap()]));
    assert_eq!(texts(&html, "h1"), ["The gallery"]);
    let rows = texts(&html, "#gallery > .scroll tbody tr");
    assert!(
        rows[0].starts_with("rust/right ✓ right threads 123"),
        "{rows:?}"
    );
    assert!(
        rows[1].starts_with("rust/right-hub ✗ wrong threads 123"),
        "{rows:?}"
    );
    assert!(rows[2].starts_with("go/left-out – skipped"), "{rows:?}");
    assert_eq!(rows.len(), 3, "wrong designs are beside them");
    let pages = texts(&html, "#gallery > details");
    let has = |place: usize, all: &[&str]| all.iter().all(|text| pages[place].contains(text));
    assert!(
        has(
            0,
            &[
                "the lock",
                "natural",
                "let order = lock;",
                "a note",
                "bytes"
            ]
        ),
        "{pages:?}"
    );
    assert!(
        has(0, &["Beside it rust/right-hub", "112 passed, 1 failed"]),
        "{pages:?}"
    );
    assert!(has(1, &["because", "Beside it rust/right"]), "{pages:?}");
    assert!(
        has(
            3,
            &[
                "✓ convicted",
                "Change of rust/right",
                "reordered : overtaken"
            ]
        ),
        "{pages:?}"
    );
    assert_eq!(pages.len(), 4);
}

#[test]
fn a_figure_that_is_not_decided_is_shown_without_a_ratio() {
    let mut comparison = comparison("");
    comparison.workloads[0].decided.clear();
    let html = parsed(&page([Document::from(comparison)]));
    let rows = texts(&html, ".comparison .bars tbody tr");
    assert_eq!(rows[1], "twice 2 M/s 1.8 M/s to 2.2 M/s");
}

#[test]
fn a_sweep_is_a_line_for_each_server_with_a_dot_for_each_point() {
    let mut comparison = comparison("");
    let figures = comparison.workloads[0].outcomes.iter_mut();
    figures.for_each(|outcome| {
        let time = outcome.medians[&Figure::Deliveries];
        outcome.medians.insert(Figure::P99, time);
    });
    assert!(!page([Document::from(comparison.clone())]).contains("Throughput and latency"));
    let mut workload = comparison.workloads.remove(0);
    for window in [1, 10, 100] {
        workload.sweep = Some(SweepPoint::Window(window));
        comparison.workloads.push(workload.clone());
    }
    let two = page([
        Document::from(comparison.clone()),
        Document::from(comparison.clone()),
    ]);
    let two = parsed(&two);
    let ids: Vec<&str> = two
        .tree
        .values()
        .filter_map(|node| node.as_element()?.id())
        .collect();
    let unique: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(unique.len(), ids.len(), "{ids:?}");
    let html = parsed(&page([Document::from(comparison)]));
    let select = |selector: &str| html.select(&Selector::parse(selector).unwrap()).count();
    assert_eq!((select("svg.wide g"), select("svg.wide circle")), (4, 12));
    assert_eq!(
        (select("svg.wide g.wrong"), select("figure details tr")),
        (1, 13)
    );
}

#[test]
fn a_case_is_marked_by_what_came_of_it_and_whether_it_counts() {
    let html = parsed(&page([Document::Conformance(conformance("./server", ""))]));
    let marks = texts(&html, "td.mark .unseen");
    assert_eq!(
        marks,
        ["passed", "failed", "failed, and does not count", "not run"]
    );
    let failures = texts(&html, "details.failure summary");
    assert_eq!(
        failures,
        ["server fails rule-3/bad :", "server fails rule-3/rude :"]
    );
    assert!(texts(&html, "details.failure pre").contains(&"01 62".to_owned()));
}

#[test]
fn every_picture_is_named_described_and_has_its_figures_in_a_table() {
    let html = parsed(&page([Document::from(run("./server"))]));
    let pictures = Selector::parse("svg[role=img]").unwrap();
    let mut count = 0;
    for picture in html.select(&pictures) {
        count += 1;
        let labels = picture.attr("aria-labelledby").unwrap();
        for id in labels.split(' ') {
            let labelled = texts(&html, &format!("#{id}"));
            assert!(labelled.len() == 1 && !labelled[0].is_empty(), "{id}");
        }
    }
    // Latency and time, each for wide and for narrow screens.
    assert_eq!(count, 4);
    assert_eq!(texts(&html, "figure details table").len(), 2);
    let unnamed = Selector::parse("table:not(:has(caption))").unwrap();
    assert_eq!(
        html.select(&unnamed).count(),
        0,
        "a table without a caption"
    );
}

#[test]
fn runs_of_one_load_stand_together_and_others_apart() {
    let other_load = |server| {
        let mut results = run(server);
        results.asked.load.pacing = Pacing::window(9);
        Document::from(results)
    };
    let mut repeated = run("./a");
    repeated.asked.load.seed = 7;
    repeated.counts.deliveries_per_s = 4e6;
    let html = parsed(&page([
        Document::from(run("./a")),
        other_load("./a"),
        Document::from(run("./b")),
        Document::from(repeated),
    ]));
    assert_eq!(texts(&html, "h1"), ["a and b"]);
    let names: Vec<String> = texts(&html, "#glance tbody tr:not(.rule) th");
    assert_eq!(names, ["a", "b", "a, run 2", "a"]);
    let speeds = texts(
        &html,
        "#figures .figures:first-of-type table:first-of-type tbody tr",
    );
    assert_eq!(
        speeds[..2],
        ["a 3 M/s 2 M/s to 4 M/s, 2 runs", "b 2 M/s"],
        "{speeds:?}"
    );
}

#[test]
fn the_largest_page_stays_below_its_bound_and_says_what_is_missing() {
    let mut full = Page::new();
    let text = "<&\"'>".repeat(400);
    for number in 0..DOCUMENT_COUNT_MAX {
        let server = format!("./server-{number} {text}");
        full.add(if number % 2 == 0 {
            let mut report = conformance(&server, &text);
            let failed = report.cases[1].clone();
            report.cases.extend((0..1_000).map(|number| {
                let mut case = failed.clone();
                case.id = format!("rule-3/{number}{text}");
                case
            }));
            Document::Conformance(report)
        } else {
            Document::from(wrong_run(&server, &text))
        })
        .unwrap();
    }
    assert_eq!(
        full.add(Document::from(run("./one-more"))),
        Err(PageError::Full)
    );
    let source = full.render();
    assert!(source.len() <= PAGE_LEN_MAX, "{}", source.len());
    assert!(source.contains("Some details were left out"));
    parsed(&source);
}

#[test]
fn a_page_of_nothing_says_so() {
    let html = parsed(&Page::new().render());
    assert_eq!(texts(&html, "#glance p"), ["There is nothing to show."]);
}
