use std::fs::File;
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
    let form = "an address is IP:PORT or NAME:PORT";
    check_usage_error(["nonsense"], form);
    check_usage_error(["127.0.0.1"], form);
    check_usage_error(["127.0.0.1:99999"], "`99999` is no port");
    check_usage_error(["::1:8080"], "an IPv6 address is in brackets: [::1]:8080");
    check_usage_error(["127.0.0.1:1", "--loud"], "unexpected argument");
    check_usage_error(["--wait", "5 parsecs"], "is no duration; write it like 5s");
    check_usage_error(["--count", "0"], "0 is not in 1..");
    check_usage_error(
        ["--connect-timeout", "0s"],
        "no connection is made in no time",
    );
    check_usage_error(["--hex", "--null"], "cannot be used with");
    check_usage_error(["--hex", "--split"], "cannot be used with");
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
        "end of the input",
        "printf 'hello\\nworld\\n' |",
        "Exit codes:",
    ] {
        assert!(help.contains(part), "{part:?} is missing in:\n{help}");
    }
}

#[test]
fn completions_and_the_man_page_come_from_the_same_definition() {
    for (args, part) in [
        (["--completions", "bash"], "--send-only"),
        (["--completions", "fish"], "-l send-only"),
        (["--completions", "zsh"], "--send-only"),
        (["--man", ""], "\\-\\-send\\-only"),
    ] {
        let args = args.into_iter().filter(|arg| !arg.is_empty());
        let ended = Client::start_args(args, Stdio::null(), Stdio::piped()).finish();
        let printed = String::from_utf8(ended.output).unwrap();
        assert_eq!((ended.code, &ended.errors[..]), (0, ""));
        assert!(printed.contains(part), "{printed}");
    }
}

#[test]
fn a_definition_that_nobody_reads_to_its_end_is_no_failure() {
    for args in [&["--man"][..], &["--completions", "bash"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let client = Client::start_args(args.iter().copied(), Stdio::null(), writer.into());
        let ended = client.finish();
        assert_eq!((ended.code, &ended.errors[..]), (0, ""), "{args:?}");
    }
    let full = File::options().write(true).open("/dev/full").unwrap();
    let ended = Client::start_args(["--man"], Stdio::null(), full.into()).finish();
    assert_eq!(ended.code, 1);
    assert!(ended.errors.starts_with("error: "), "{}", ended.errors);
}
