use std::fs;
use std::path::{Path, PathBuf};

use chat_gallery::{Entry, FindError, NewError, Plan, find, new_row};
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
fn a_new_row_can_be_filled_in_and_replaces_none() {
    let dir = gallery("new", &[("a/b", "", "")]);
    let files = new_row(&dir, "rust/mine").unwrap();
    let names = ["impl.toml", "Cargo.toml", "src/main.rs"];
    assert_eq!(files, names.map(|name| dir.join("rust/mine").join(name)));
    assert!(
        fs::read_to_string(&files[1])
            .unwrap()
            .contains("\"impl-mine\"")
    );
    assert_eq!(new_row(&dir, "go/mine").unwrap().len(), 1);
    for entry in find(&dir).unwrap() {
        assert!(entry.manifest.is_ok(), "{entry:?}");
    }
    assert!(matches!(new_row(&dir, "a/b"), Err(NewError::Exists(_))));
    for name in ["mine", "Rust/mine", "rust/../x", "rust/", "rust/a b"] {
        assert!(
            matches!(new_row(&dir, name), Err(NewError::Name(_))),
            "{name}"
        );
    }
}

#[test]
fn a_change_makes_a_wrong_design_of_a_copy_of_its_twin() {
    let dir = gallery(
        "change",
        &[(
            "a/right",
            "run = [\"sh\", \"server.sh\"]\nnotes = [\"n\"]\n",
            "exit 3\n",
        )],
    );
    let folder = dir.join("wrong/a/worse");
    fs::create_dir_all(&folder).unwrap();
    fs::write(
        folder.join("impl.toml"),
        "twin = \"a/right\"\nexpect = \"stopped\"\n",
    )
    .unwrap();
    let diff = "--- a/server.sh\n+++ b/server.sh\n@@ -1 +1 @@\n-exit 3\n+exit 4\n";
    fs::write(folder.join("change.diff"), diff).unwrap();
    let row = run(&dir).rows.pop().unwrap();
    assert!(row.standing.is_as_expected(), "{row:#?}");
    let (_, story) = row.loads[0].found.clone().unwrap();
    assert!(story.contains("exit status: 4"), "{story}");
    // It says what its twin says, but for what is to be known of the twin alone.
    assert_eq!(
        (row.card.order.as_str(), row.card.notes.len()),
        ("a lock", 0)
    );
    assert_eq!(row.source.unwrap().code_lines, 1);
    assert_eq!(
        fs::read_to_string(dir.join("a/right/server.sh")).unwrap(),
        "exit 3\n"
    );
    fs::write(folder.join("change.diff"), diff.replace("exit 3", "exit 5")).unwrap();
    let row = run(&dir).rows.pop().unwrap();
    check(
        &row,
        "wrong/a/worse",
        |standing| matches!(standing, RowStanding::Failed { why } if why.contains("does not fit its twin")),
    );
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
