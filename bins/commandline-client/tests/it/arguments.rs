use std::process::Stdio;

use crate::client::{Client, Ended};

fn run_alone<const N: usize>(args: [&str; N]) -> Ended {
    Client::start_with(args, Stdio::null(), Stdio::piped()).finish()
}

#[track_caller]
fn check_usage_error<const N: usize>(args: [&str; N], cause: &str) {
    let Ended {
        code,
        output,
        errors,
    } = run_alone(args);
    assert_eq!((code, &output[..]), (2, &b""[..]), "{errors}");
    assert!(
        errors.starts_with("error: ") && errors.contains(cause),
        "{errors}"
    );
}

#[test]
fn wrong_arguments_are_usage_errors() {
    let form = "not of the form IP:PORT or HOST:PORT";
    check_usage_error(["nonsense"], form);
    check_usage_error(["127.0.0.1"], form);
    check_usage_error(["127.0.0.1:99999"], form);
    check_usage_error(["127.0.0.1:1", "127.0.0.1:2"], "unexpected argument");
    check_usage_error(["127.0.0.1:1", "--loud"], "unexpected argument");
}

#[test]
fn help_teaches_the_protocol_of_the_pipe() {
    let Ended {
        code,
        output,
        errors,
    } = run_alone(["--help"]);
    assert_eq!((code, &errors[..]), (0, ""));
    let help = String::from_utf8(output).unwrap();
    for part in [
        "[default: 127.0.0.1:8080]",
        "255 bytes",
        "end of standard input",
        "printf 'hello\\nworld\\n' |",
        "Exit codes:",
    ] {
        assert!(help.contains(part), "{part:?} is missing in:\n{help}");
    }
}
