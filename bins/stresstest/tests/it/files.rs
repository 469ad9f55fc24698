use std::fs;
use std::path::Path;

use crate::run::{Run, Running, path, run, stresstest};

#[test]
fn a_baseline_that_is_kept_is_compared_with() {
    let dir = path("baselines");
    let load = [
        "--window",
        "10",
        "-m",
        "20",
        "--size",
        "64",
        "--baseline-dir",
        dir.to_str().unwrap(),
    ];
    let with = |fault: &str, options: &[&str]| run(fault, &[&load, options].concat());
    // So slow that no hiccup of this machine is.
    let slow = "delay --delay-ms 300";
    with("honest", &["--baseline", "fast"]).check(
        2,
        &[
            "error: there is no baseline ",
            "make it with --save-baseline fast",
        ],
    );
    with("honest", &["--save-baseline", "fast"]).check(0, &["note: the baseline is in "]);
    with(slow, &["--baseline", "fast"]).check(4, &["error: p99 of delivery rose from "]);
    with(slow, &["--baseline", "fast", "--save-baseline", "fast"])
        .check(4, &["no baseline fast is kept of a run that failed"]);
    with(slow, &["--save-baseline", "slow"]).check(0, &[]);
    with("honest", &["--baseline", "slow", "--noise", "1000"])
        .check(0, &["note: the drop rate was 0 % and is 0 %"]);
    // It is refused before anything is started.
    with("honest", &["--baseline", "fast", "-s", "4"]).check(
        2,
        &["the baseline `fast` is of another load: subscribers was 3 and is 4"],
    );
}

#[test]
fn isolation_records_each_of_its_runs_in_a_file_of_its_own() {
    let path = path("isolated");
    let options = [
        "--window",
        "10",
        "-m",
        "50",
        "--stalled",
        "1",
        "--isolation",
    ];
    let record = ["--record", path.to_str().unwrap()];
    run("honest", &[&options[..], &record].concat()).check(0, &[]);
    for recording in [path.clone(), path.with_extension("without")] {
        Running::start_command(stresstest().arg("recheck").arg(recording))
            .wait()
            .check(0, &[]);
    }
}

/// Returns the line with the error.
fn error_of(run: &Run) -> &str {
    let mut lines = run.stderr.lines();
    lines.find(|line| line.starts_with("error: ")).unwrap()
}

#[test]
fn a_recorded_run_is_convicted_again_without_a_server() {
    let recheck =
        |path: &Path| Running::start_command(stresstest().arg("recheck").arg(path)).wait();
    let path = path("recording");
    run(
        "honest",
        &["-m", "20", "-r", "2", "--record", path.to_str().unwrap()],
    )
    .check(0, &[]);
    let kept = recheck(&path);
    kept.check(0, &[]);
    assert!(
        kept.stdout.starts_with("iteration 0: one order of "),
        "{}",
        kept.stdout
    );
    assert_eq!(kept.stdout.lines().count(), 2);

    let broken = run(
        "swap",
        &[
            "-m",
            "20",
            "-r",
            "2",
            "--seed",
            "7",
            "--record",
            path.to_str().unwrap(),
        ],
    );
    let story = error_of(&broken);
    assert!(
        story.starts_with("error: iteration 0: the promise is broken (reordered): "),
        "{story}"
    );
    recheck(&path).check(3, &[story]);

    let options = [
        "-m",
        "5",
        "-r",
        "1",
        "--patience",
        "6",
        "--record",
        path.to_str().unwrap(),
    ];
    let forgetful = run("forget-sender", &options);
    recheck(&path).check(3, &[error_of(&forgetful)]);

    run(
        "swallow-closing",
        &[
            "-m",
            "5",
            "-r",
            "1",
            "--patience",
            "3",
            "--record",
            path.to_str().unwrap(),
        ],
    )
    .check(5, &[]);
    recheck(&path).check(
        5,
        &["error: inconclusive: a repetition did not come to its end"],
    );

    fs::write(&path, "something else").unwrap();
    recheck(&path).check(
        1,
        &[
            "error: cannot recheck ",
            "it is no recording of this program",
        ],
    );
}

#[test]
fn every_kind_of_file_is_written() {
    let (csv, hdr) = (path("results.csv"), path("results.hlog"));
    let options = [
        "--rate",
        "100",
        "--duration",
        "500ms",
        "--csv",
        csv.to_str().unwrap(),
        "--hdr",
        hdr.to_str().unwrap(),
        "--quiet",
    ];
    let run = run("honest", &options);
    run.check(0, &[]);
    assert_eq!(run.stdout, "");
    let csv = fs::read_to_string(csv).unwrap();
    assert_eq!(
        (
            csv.lines().count(),
            csv.starts_with("date,version,host,run,server,server_count,publishers,")
        ),
        (2, true)
    );
    let hdr = fs::read_to_string(hdr).unwrap();
    assert!(
        hdr.contains("Tag=delivery,") && hdr.contains("Tag=lateness,"),
        "{hdr}"
    );
}

#[test]
fn standard_output_can_be_json_and_nothing_else() {
    let run = run("honest", &["--window", "5", "-m", "20", "--json", "-"]);
    run.check(0, &[]);
    let results: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(results["version"], 2);
    let environment = &results["load"]["environment"];
    assert!(
        environment["kernel"]
            .as_str()
            .unwrap()
            .starts_with("Linux ")
            && environment["command"].as_array().unwrap().len() > 5
            && results["load"]["seed"].is_string(),
        "{results:#}"
    );
}

#[test]
fn lines_are_added_to_a_file_of_the_same_columns_only() {
    let csv = path("added.csv");
    let options = ["--window", "5", "-m", "20", "--csv", csv.to_str().unwrap()];
    for count in [2, 3] {
        run("honest", &options).check(0, &[]);
        assert_eq!(fs::read_to_string(&csv).unwrap().lines().count(), count);
    }
    fs::write(&csv, "name,age\nann,7\n").unwrap();
    run("honest", &options).check(1, &["added.csv: it has other columns"]);
    assert_eq!(fs::read_to_string(&csv).unwrap(), "name,age\nann,7\n");
}
