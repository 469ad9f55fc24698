use std::fs;
use std::path::{Path, PathBuf};

use chat_gallery::{Entry, FindError, Plan, find};
use chat_results::gallery::{Gallery, Row, RowStanding};
use chat_stress::Interrupt;

/// What all manifests here say.
const CARD: &str = "style = \"threads\"\nlayer = \"plain\"\nclient = \"a thread\"\norder = \"a lock\"\n\
                    laggards = { policy = \"newest\", bound = \"none\" }\n";

/// Makes a gallery of rows: their names, their manifests behind [`CARD`], and their scripts.
fn gallery(name: &str, rows: &[(&str, &str, &str)]) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    _ = fs::remove_dir_all(&dir);
    for (row, manifest, script) in rows {
        let folder = dir.join(row);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("impl.toml"), format!("{CARD}{manifest}")).unwrap();
        fs::write(folder.join("server.sh"), script).unwrap();
    }
    dir
}

fn run(dir: &Path) -> Gallery {
    let plan = Plan {
        dir: dir.canonicalize().unwrap(),
        times: 1,
        timing: None,
        guard: None,
    };
    plan.run(&find(dir).unwrap(), &Interrupt::never(), &mut |_, _| ())
}

#[track_caller]
fn check(row: &Row, name: &str, is_it: impl Fn(&RowStanding) -> bool) {
    assert!(row.name == name && is_it(&row.standing), "{row:#?}");
}

#[test]
fn what_is_wrong_with_a_row_is_told_and_the_others_go_on() {
    let run_script = "run = [\"sh\", \"server.sh\"]\n";
    let needs =
        "needs = [\"no-such-tool\"]\ninstall = { debian = [\"it\"], pypi = [\"that==1\"] }\n";
    let dir = gallery(
        "bad-rows",
        &[
            ("a/unknown-key", "colour = \"red\"\n", ""),
            ("a/unknown-style", "style = \"magic\"\n", ""),
            ("a/no-command", "", ""),
            ("a/needs", &format!("{needs}{run_script}"), ""),
            (
                "a/fails-to-build",
                &format!("build = \"echo no header; exit 3\"\n{run_script}"),
                "",
            ),
            (
                "a/bad-load",
                &format!("{run_script}[load]\nslow = \"many\"\n"),
                "",
            ),
            (
                "wrong/a/dies",
                &format!("expect = \"stopped\"\n{run_script}"),
                "echo dead >&2; exit 9",
            ),
        ],
    );
    let rows = run(&dir).rows;
    let failed = |told: &'static str| move |standing: &RowStanding| matches!(standing, RowStanding::Failed { why } if why.contains(told));
    check(&rows[0], "a/bad-load", failed("in [load], slow: "));
    check(
        &rows[1],
        "a/fails-to-build",
        failed("exit status: 3\nno header"),
    );
    check(&rows[2], "a/needs", |standing| {
        let lines = [
            "apt-get install -y --no-install-recommends it",
            "pip install that==1",
        ];
        let lines = lines.map(str::to_owned).to_vec();
        let why = "no no-such-tool".to_owned();
        *standing
            == RowStanding::Skipped {
                why,
                install: lines,
            }
    });
    check(&rows[3], "a/no-command", failed("no `run`"));
    check(&rows[4], "a/unknown-key", failed("unknown field `colour`"));
    check(&rows[5], "a/unknown-style", failed("duplicate key"));
    // A server that dies at once is not convicted of anything else.
    check(&rows[6], "wrong/a/dies", RowStanding::is_as_expected);
    let (class, story) = rows[6].loads[0].found.clone().unwrap();
    assert_eq!(class, "stopped");
    assert!(story.contains("exit status: 9"), "{story}");
}

#[test]
fn a_row_that_is_no_server_is_wrong_and_says_why() {
    let script = "echo listening on 127.0.0.1:1; sleep 60";
    let dir = gallery(
        "no-server",
        &[("a/b", "run = [\"sh\", \"server.sh\"]\n", script)],
    );
    let row = run(&dir).rows.remove(0);
    let RowStanding::Otherwise { why } = &row.standing else {
        panic!("{row:#?}");
    };
    assert!(why.starts_with("it fails rule-"), "{why}");
    assert!(
        row.loads.is_empty(),
        "nothing is loaded that does not conform"
    );
    assert!(!row.conformance.unwrap().failed.is_empty());
}

#[test]
fn rows_are_found_in_order_and_what_is_none_is_refused() {
    let dir = gallery(
        "order",
        &[("wrong/a/x", "", ""), ("rust/b", "", ""), ("go/c", "", "")],
    );
    fs::create_dir_all(dir.join("target/release/deep")).unwrap();
    let names: Vec<_> = find(&dir)
        .unwrap()
        .iter()
        .map(|it: &Entry| it.name.clone())
        .collect();
    assert_eq!(names, ["go/c", "rust/b", "wrong/a/x"]);
    assert!(matches!(
        find(&dir.join("go/c")),
        Err(FindError::None { .. })
    ));
    assert!(matches!(
        find(&dir.join("nowhere")),
        Err(FindError::Read { .. })
    ));
}
