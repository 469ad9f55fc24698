use std::fs;
use std::path::Path;

use crate::run::{Running, path, run, server, stresstest};

/// Checks that the page of a kept file, made `later`, is this one.
#[track_caller]
fn check_report_of(json: &Path, later: &Path, page: &str) {
    let output = stresstest()
        .arg("report")
        .arg(json)
        .arg("--html")
        .arg(later)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(read_page(later), page);
}

/// Reads a page, and fails unless it is complete, within its bound and without a reference to
/// anything outside itself.
#[track_caller]
fn read_page(path: &Path) -> String {
    let page = fs::read_to_string(path).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"));
    assert!(page.len() < 1_000_000 && !page.contains("://") && !page.contains("<script"));
    page
}

#[test]
fn a_run_and_its_kept_results_make_the_same_page() {
    let (html, json, later) = (path("run.html"), path("run.json"), path("later.html"));
    let files = [
        "--html",
        html.to_str().unwrap(),
        "--json",
        json.to_str().unwrap(),
    ];
    let load = ["-q", "--rate", "2000", "--duration", "1500ms"];
    run("honest", &[&load[..], &files].concat()).check(0, &[]);
    let page = read_page(&html);
    for part in [
        "wrong_server",
        "<h2 id=\"latency-title\">Latency</h2>",
        "<h2 id=\"timeline-title\">Over time</h2>",
        "Deliveries per second",
        "2000 messages per second on a schedule",
    ] {
        assert!(page.contains(part), "{part} is missing");
    }
    check_report_of(&json, &later, &page);
}

#[test]
fn a_server_that_breaks_the_order_is_wrong_on_the_page() {
    let html = path("wrong.html");
    let options = [
        "-q",
        "--window",
        "10",
        "-m",
        "500",
        "--html",
        html.to_str().unwrap(),
    ];
    run("reorder", &options).check(3, &["the promise is broken"]);
    let page = read_page(&html);
    assert!(page.contains("✗ wrong") && page.contains("<s>"));
}

#[test]
fn cases_make_a_page_with_the_matrix() {
    let html = path("cases.html");
    let run = Running::start_command(
        stresstest()
            .args(["conform=rule-3/every-length,rule-3/glued", "-q", "--html"])
            .arg(&html)
            .arg(server())
            .arg("honest"),
    );
    run.wait().check(0, &[]);
    let page = read_page(&html);
    assert!(page.contains("every-length") && page.contains("2 cases on 1 server"));
}

#[test]
fn a_file_that_is_no_results_makes_no_page_and_is_named() {
    let (html, other) = (path("none.html"), path("other.json"));
    fs::write(&other, "{}").unwrap();
    for (file, told) in [
        (
            other.to_str().unwrap(),
            "other.json: this is no results of stresstest",
        ),
        (
            "/nowhere/results.json",
            "cannot read /nowhere/results.json: No such file",
        ),
    ] {
        let output = stresstest()
            .args(["report", file, "--html", html.to_str().unwrap()])
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(
            stderr.starts_with("error: ") && stderr.contains(told),
            "{stderr}"
        );
        assert!(!html.exists());
    }
}

#[test]
fn a_comparison_and_its_kept_figures_make_the_same_page() {
    let (html, json, later) = (
        path("compared.html"),
        path("compared.json"),
        path("again.html"),
    );
    let server = |name: &str, fault: &str| format!("{name}={} {fault}", server().display());
    let output = stresstest()
        .args([
            "compare",
            "-q",
            "--no-ceiling",
            "--rounds",
            "2",
            "-m",
            "200",
            "--html",
        ])
        .arg(&html)
        .arg("--json")
        .arg(&json)
        .args([server("right", "honest"), server("odd", "duplicate")])
        .output()
        .unwrap();
    let page = fs::read_to_string(&html).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    assert_eq!(page, read_page(&html));
    assert!(
        page.contains("right and odd") && page.contains("✗ wrong"),
        "{output:?}"
    );
    check_report_of(&json, &later, &page);
}
