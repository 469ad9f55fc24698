use std::path::PathBuf;
use std::process::Command;

/// The example, which `cargo test -p chat-cluster-faults` builds.
pub(crate) fn example() -> Command {
    let test = std::env::current_exe().unwrap();
    let executable: PathBuf = test.ancestors().nth(2).unwrap().join("examples/faults");
    assert!(
        executable.is_file(),
        "build it: cargo build --example faults"
    );
    Command::new(executable)
}

#[test]
fn bad_values_are_refused_with_one_line_and_code_2() {
    let bad: [&[&str]; 11] = [
        &[],
        &["s", "--runs", "x"],
        &["s", "--runs", "0"],
        &["s", "--minutes", "-1"],
        &["s", "--seconds", "NaN"],
        &["s", "--nodes", "0"],
        &["s", "--storage", "paper"],
        &["s", "--fault", "rain"],
        &["s", "--rain", "1"],
        &["s", "--nats", "/nowhere/nats-server"],
        &["s", "--fault", "all disks full"],
    ];
    for args in bad {
        let output = example().args(args).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{args:?}: {error}");
        assert!(error.starts_with("faults: "), "{args:?}: {error}");
    }
}
