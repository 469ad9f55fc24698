//! Which case convicts which wrong server. Most of their faults are meant for the load tester, so
//! they strike the third client, or messages of at least eight bytes that look like its load. A case
//! without either passes.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::Duration;

use chat_conform::{Level, Outcome, Report, Suite};

use crate::run::{path, server, stresstest};

/// Runs the cases about messages on the server with this fault. All of `must` have to fail, and
/// nothing else of the level MUST but what `may` matches.
#[track_caller]
fn check(fault: &str, must: &[&str], may: &[&str]) {
    let suite = suite(fault).except(SLOW.iter().copied());
    check_report(&suite.run().unwrap(), fault, must, may);
}

/// Does the same with a few cases.
#[track_caller]
fn check_only(fault: &str, globs: &[&str], must: &[&str]) {
    let suite = suite(fault).only(globs.iter().copied()).unwrap();
    check_report(&suite.run().unwrap(), fault, must, &[]);
}

fn suite(fault: &str) -> Suite {
    let suite = Suite::new(server()).args(fault.split(' '));
    // Cases that fail mostly wait, so many fit side by side.
    suite.patience(PATIENCE).jobs(12)
}

#[track_caller]
fn check_report(report: &Report, fault: &str, must: &[&str], may: &[&str]) {
    let failed = failed_musts(report);
    let missing: Vec<_> = must.iter().filter(|id| !failed.contains(*id)).collect();
    let matches = |glob: &str, id: &str| match glob.strip_suffix('*') {
        Some(start) => id.starts_with(start),
        None => glob == id,
    };
    let surplus: Vec<_> = failed
        .iter()
        .filter(|id| !must.contains(id) && !may.iter().any(|glob| matches(glob, id)))
        .collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "{fault}: {missing:?} should fail, {surplus:?} should not\n{report}"
    );
}

/// Returns the cases of the level MUST that failed.
pub(crate) fn failed_musts(report: &Report) -> BTreeSet<&str> {
    let failed = report
        .results()
        .iter()
        .filter(|result| matches!(result.outcome, Outcome::Failed(_)))
        .filter(|result| result.case.level() == Level::Must);
    failed.map(|result| result.case.id()).collect()
}

#[test]
fn what_no_client_is_wronged_by_fails_no_case() {
    // The last three strike only what nobody but the load tester sends.
    for fault in [
        "honest",
        "flood-stderr",
        "drop-closing",
        "replay-early",
        "replay-late",
    ] {
        check(fault, &[], &[]);
    }
    check_only("delay", &["rule-4/every-client", "rule-5/one-order"], &[]);
    check_only("delay-all", &["rule-3/*", "rule-5/large-windows"], &[]);
    check_only("pause", &["rule-5/large-windows"], &[]);
}

#[test]
fn a_server_that_never_gets_ready_fails_one_case() {
    for fault in ["exit-at-once", "never-ready", "no-address"] {
        check(fault, &["rule-2/ready-line"], &[]);
    }
    check("dead-port", &["rule-2/connectable-when-ready"], &[]);
}

#[test]
fn a_client_that_does_not_hear_itself_fails_one_case() {
    for fault in ["forget-sender", "drop-random", "drop-anything"] {
        check(fault, &["rule-4/sender-included"], &[]);
    }
}

#[test]
fn other_lines_on_stdout_are_found() {
    check_only("talkative", &["rule-2/*"], &TALKATIVE);
}

#[test]
fn a_deaf_ear_to_signals_is_found() {
    let globs = ["rule-10/sig*-idle", "rule-10/at-once"];
    let must = [
        "rule-10/sigterm-idle",
        "rule-10/sigint-idle",
        "rule-10/at-once",
    ];
    check_only("stubborn", &globs, &must);
}

#[test]
fn memory_that_is_kept_is_found() {
    let report = suite("leak").only(["rule-1/memory-back"]).unwrap();
    let report = report.strict(true).run().unwrap();
    assert!(!report.has_passed(), "{report}");
    assert_eq!(report.counts().failed_should, 1, "{report}");
}

#[test]
fn lost_messages_are_found() {
    let must = ["rule-6/keeps-up-loses-nothing", "rule-4/nothing-invented"];
    check("drop-thirds", &must, FLOODS);
    check("drop-half", &must, FLOODS);
    check("drop-half-bulk", &must, FLOODS);
    check("forget-load", &must, FLOODS);
    check("drop-all", &must, &[FLOODS, &["rule-4/*"]].concat());
}

#[test]
fn wrong_orders_are_found() {
    // Whether many senders at once meet it as well is chance.
    check("reorder", &["rule-5/pairs-in-turn"], FLOODS);
    check("swap", &["rule-5/senders-order"], FLOODS);
    check("causal", &["rule-5/questions-and-answers"], FLOODS);
    check("reorder-late", &["rule-5/questions-and-answers"], FLOODS);
}

#[test]
fn changed_and_foreign_messages_are_found() {
    for fault in ["corrupt", "truncate", "duplicate", "invent", "hang-up"] {
        check(fault, &["rule-4/nothing-invented"], FLOODS);
    }
}

#[test]
fn a_start_inside_a_message_is_found() {
    let may = [FLOODS, &["rule-4/*", "rule-8/*", "rule-9/*"]].concat();
    check("wrong-start", &["rule-7/starts-on-a-message"], &may);
}

#[test]
fn wrong_ends_are_found() {
    let must = ["rule-9/echo-then-close", "rule-9/nothing-sent"];
    for fault in ["cut-last", "invent-last", "stay-open"] {
        check(fault, &must, &["rule-5/*", "rule-8/*", "rule-9/*"]);
    }
}

#[test]
fn servers_that_break_down_are_found() {
    for fault in ["die", "hang"] {
        check(fault, &["rule-5/large-windows"], FLOODS);
    }
}

#[test]
fn a_server_of_forty_lines_of_python_conforms_strictly() {
    if !has_python() {
        return;
    }
    let report = Suite::new("python3").args([script()]).strict(true).run();
    let report = report.unwrap();
    assert!(report.has_passed(), "{report}");
}

/// Tells whether Python is there, and says so if not.
pub(crate) fn has_python() -> bool {
    let mut python = Command::new("python3");
    let version = python.arg("--version").stdout(Stdio::null()).status();
    let is_there = version.is_ok_and(|status| status.success());
    if !is_there {
        let is_ci = std::env::var_os("CI").is_some();
        assert!(
            !is_ci,
            "there is no python3 here, and nothing is skipped in CI"
        );
        println!("skipped: there is no python3 here");
    }
    is_there
}

/// Returns the path of the server in Python.
pub(crate) fn script() -> &'static str {
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/chat_server.py")
}

/// Runs `stresstest conform`, and returns its exit code and what it printed.
fn conform(args: &[&str], fault: &str) -> (Option<i32>, String) {
    let output = stresstest()
        .args(args)
        .arg(server())
        .arg(fault)
        .output()
        .unwrap();
    let printed = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(printed).unwrap())
}

#[test]
fn the_command_tells_by_its_exit_code() {
    let (code, printed) = conform(&["conform=rule-3/*,rule-8/*"], "honest");
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.contains("24 cases in "), "{printed}");

    let (code, printed) = conform(&["conform=rule-3/*,nothing-*"], "honest");
    assert_eq!(code, Some(2), "{printed}");
    assert!(
        printed.contains("error: no case has an id like nothing-*"),
        "{printed}"
    );

    let (code, printed) = conform(
        &["conform=rule-9/nothing-sent", "--timeout", "2s"],
        "stay-open",
    );
    assert_eq!(code, Some(3), "{printed}");
    let told = ["FAIL  rule-9/nothing-sent", "usually   An open connection"];
    assert!(told.iter().all(|told| printed.contains(told)), "{printed}");

    let output = stresstest().args(["conform", "/nowhere"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn the_command_lists_cases_and_starts_nothing() {
    let output = stresstest().args(["conform=rule-3/*", "--list"]).output();
    let printed = String::from_utf8(output.unwrap().stdout).unwrap();
    assert_eq!(printed.lines().count(), 16, "{printed}");
    assert!(printed.starts_with("rule-3/every-length "), "{printed}");
}

#[test]
fn the_first_failure_ends_a_suite_that_fails_fast() {
    let args = [
        "conform=rule-9/*",
        "--fail-fast",
        "-j",
        "1",
        "--timeout",
        "2",
    ];
    let (code, printed) = conform(&args, "stay-open");
    assert_eq!(code, Some(3), "{printed}");
    assert!(printed.contains("an earlier case failed"), "{printed}");
    assert!(printed.contains("1 failed (MUST)"), "{printed}");
}

#[test]
fn reports_are_written_to_files() {
    let (junit, json) = (path("conform.xml"), path("conform.json"));
    let files = [&junit, &json].map(|path| path.to_str().unwrap());
    let args = [
        "conform=rule-3/glued",
        "--junit",
        files[0],
        "--json",
        files[1],
        "-q",
    ];
    let (code, printed) = conform(&args, "honest");
    assert_eq!((code, printed.as_str()), (Some(0), ""));
    let xml = std::fs::read_to_string(&junit).unwrap();
    assert!(xml.contains("<testcase name=\"rule-3/glued\" "), "{xml}");
    let json = std::fs::read_to_string(&json).unwrap();
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["passed"], true);
    assert_eq!(report["cases"][0]["id"], "rule-3/glued");
    assert_eq!(report["cases"][0]["outcome"], "passed");
}

#[test]
fn a_full_disk_takes_no_report_and_no_verdict() {
    let told = "error: cannot write /dev/full: No space left on device";
    let full = |id: &str, fault: &str| {
        let cases = format!("conform={id}");
        conform(
            &[
                &cases,
                "--json",
                "/dev/full",
                "--html",
                "/dev/full",
                "--timeout",
                "2s",
            ],
            fault,
        )
    };
    let (code, printed) = full("rule-3/glued", "honest");
    assert_eq!(
        (code, printed.matches(told).count()),
        (Some(1), 2),
        "{printed}"
    );
    assert!(printed.contains("1 cases in "), "{printed}");
    let (code, printed) = full("rule-9/nothing-sent", "stay-open");
    assert_eq!(code, Some(3), "{printed}");
    assert!(printed.contains("FAIL  rule-9/nothing-sent"), "{printed}");
}

#[test]
fn a_full_standard_output_takes_no_verdict() {
    let cases = ["conform=rule-9/nothing-sent", "--timeout", "2s"];
    for (fault, code) in [("honest", 1), ("stay-open", 3)] {
        let output = stresstest()
            .args(cases)
            .args([server().as_os_str(), fault.as_ref()])
            .stdout(std::fs::File::create("/dev/full").unwrap())
            .output()
            .unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{told}");
        assert!(
            told.contains("error: cannot print the report: No space left"),
            "{told}"
        );
    }
}

#[test]
fn a_report_on_standard_output_has_nothing_beside_it() {
    let output = stresstest()
        .args(["conform=rule-3/glued", "--json", "-"])
        .args([server().as_os_str(), "honest".as_ref()])
        .output()
        .unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["passed"], true);
}

/// Where a fault strikes that is meant for load: several clients, or a flood.
const FLOODS: &[&str] = &[
    "rule-4/nothing-invented",
    "rule-4/leaver-in-flood",
    "rule-5/*",
    "rule-6/*",
    "rule-7/*",
    "rule-9/much-in-flight",
    "rule-9/in-a-flood",
    "rule-9/vanish-in-a-flood",
    "rule-9/vanish-with-unread-messages",
];

/// What fails when a server says good morning first.
const TALKATIVE: [&str; 4] = [
    "rule-2/ready-line",
    "rule-2/printed-once",
    "rule-2/silent-in-trouble",
    "rule-2/silent-at-the-end",
];

/// What takes long, and what is about processes.
const SLOW: &[&str] = &[
    "rule-1/*",
    "rule-2/*",
    "rule-4/hundred-clients",
    "rule-4/thousand-clients",
    "rule-6/idle-client-stays",
    "rule-6/pausing-reader",
    "rule-6/slow-reader*",
    "rule-9/thousand-vanish",
    "rule-10/*",
];

/// How long to wait for something that does not come. Most faults are in what comes.
const PATIENCE: Duration = Duration::from_secs(5);
