//! Beginning and ending, and what lies between runs.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;

use crate::broadcast::Broadcast;
use crate::terminal::{HINT, Setup, Terminal, state_directory};

fn start(setup: &Setup) -> Terminal {
    let terminal = setup.start();
    terminal.wait_until(|rows| rows.last().is_some_and(|row| row == HINT));
    terminal
}

/// Types something and waits until the client has ended with success.
#[track_caller]
fn end(mut terminal: Terminal, keys: &str) {
    terminal.type_in(keys);
    assert_eq!(terminal.wait().code(), Some(0), "{:?}", terminal.rows());
    assert!(terminal.is_in_order());
    assert_eq!(terminal.typed_len(), 0);
    // Neither the prompt nor the line is left.
    let rows = terminal.rows();
    assert!(!rows.iter().any(|row| row.starts_with('>')), "{rows:?}");
}

#[test]
fn the_client_ends_when_its_user_wants_it() {
    let server = Broadcast::start();
    let setup = Setup::new(&server.address);
    for keys in ["\x03", "\x04", "/quit\r", "typed\x03\x03", "typed\x03\x04"] {
        end(start(&setup), keys);
    }
}

#[test]
fn the_last_line_comes_back_before_the_end() {
    let server = Broadcast::start();
    let terminal = start(&Setup::new(&server.address));
    end(terminal, "bye\r\x04");
    server.wait_for_received(&["bye"]);
}

#[test]
fn what_does_not_come_back_before_the_end_is_told_of() {
    let server = Broadcast::start();
    let mut terminal = start(&Setup::new(&server.address));
    server.hold();
    terminal.type_in("bye\r\x04");
    assert_eq!(terminal.wait().code(), Some(0));
    terminal.wait_for_last(&["-- 1 message of yours did not come back"]);
}

#[test]
fn an_interrupted_line_is_not_sent_and_can_be_brought_back() {
    let server = Broadcast::start();
    let mut terminal = start(&Setup::new(&server.address));
    terminal.type_in("wrong\x03");
    terminal.wait_for_last(&[">", HINT]);
    terminal.type_in("\x19\x03");
    terminal.type_in("right\r");
    terminal.wait_for_last(&["» right", ">"]);
    server.wait_for_received(&["right"]);
}

#[test]
fn a_stopped_client_goes_on_where_it_was() {
    let server = Broadcast::start();
    let mut terminal = start(&Setup::new(&server.address));
    terminal.type_in("before and\x1b[D\x1b[D\x1b[D");
    terminal.wait_for_last(&["> before and"]);
    terminal.type_in("\x1a");
    terminal.wait_until_stopped();
    assert!(terminal.is_in_order());
    terminal.wait_until(|rows| !rows.iter().any(|row| row.contains("before")));
    server.say("meanwhile");
    terminal.signal(Signal::CONT);
    terminal.wait_for_last(&["  meanwhile", "> before and"]);
    terminal.type_in("after \r");
    server.wait_for_received(&["before after and"]);
}

#[test]
fn a_signal_leaves_the_terminal_in_order() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let server = Broadcast::start();
        let mut terminal = start(&Setup::new(&server.address));
        terminal.type_in("typed");
        terminal.wait_for_last(&["> typed"]);
        terminal.signal(signal);
        let code = terminal.wait().code();
        assert_eq!(code, Some(i32::from(signal != Signal::INT)));
        assert!(terminal.is_in_order());
        assert!(!terminal.rows().iter().any(|row| row.starts_with('>')));
    }
}

#[test]
fn a_signal_ends_a_search_and_a_question_too() {
    for keys in ["line\r\x12li", "\x1b[200~a\rb\x1b[201~\r"] {
        let server = Broadcast::start();
        let mut terminal = start(&Setup::new(&server.address));
        terminal.type_in(keys);
        terminal.wait_until(|rows| {
            rows.iter()
                .any(|row| row.contains("`li'") || row.contains("[y/N]"))
        });
        terminal.signal(Signal::TERM);
        assert_eq!(terminal.wait().code(), Some(1));
        assert!(terminal.is_in_order());
    }
}

#[test]
fn typed_lines_are_found_in_the_next_run() {
    let server = Broadcast::start();
    let state = state_directory();
    let setup = Setup::new(&server.address).variable("XDG_STATE_HOME", &state);
    end(start(&setup), "first line\rsecond line\r secret\r\x04");
    let path = state.join("commandline-client/history");
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let directory = fs::metadata(path.parent().unwrap()).unwrap();
    assert_eq!(directory.permissions().mode() & 0o777, 0o700);
    let text = fs::read_to_string(&path).unwrap();
    assert!(
        text.contains("second line") && !text.contains("secret"),
        "{text}"
    );

    let mut terminal = start(&setup);
    terminal.type_in("\x1b[A");
    terminal.wait_for_last(&["> second line"]);
    terminal.type_in("\x1b[A");
    terminal.wait_for_last(&["> first line"]);
    terminal.type_in("\x03\x12sec");
    terminal.wait_for("second line");
    terminal.type_in("\r");
    server.wait_for_received(&["first line", "second line", " secret", "second line"]);
}

#[test]
fn the_history_is_under_home_without_the_variable() {
    let server = Broadcast::start();
    let home = state_directory();
    let mut setup = Setup::new(&server.address).variable("HOME", &home);
    setup.variables.retain(|(name, _)| name != "XDG_STATE_HOME");
    end(start(&setup), "line\r\x04");
    let path = home.join(".local/state/commandline-client/history");
    assert!(fs::read_to_string(path).unwrap().contains("line"));
}

#[test]
fn a_history_that_cannot_be_kept_is_warned_of_once() {
    let directory = state_directory();
    fs::create_dir_all(directory.join("commandline-client/history")).unwrap();
    let file = state_directory();
    fs::write(file.join("commandline-client"), "a file").unwrap();
    let garbage = state_directory();
    fs::create_dir_all(garbage.join("commandline-client")).unwrap();
    fs::write(
        garbage.join("commandline-client/history"),
        b"#V2\n\xff\xfe\n",
    )
    .unwrap();
    let read_only = state_directory();
    fs::create_dir_all(read_only.join("commandline-client")).unwrap();
    let path = read_only.join("commandline-client/history");
    fs::write(&path, "#V2\nold\n").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
    let may_write_all = rustix::process::geteuid().is_root();
    for (state, is_told) in [
        (directory, true),
        (file, true),
        (garbage, true),
        (read_only, !may_write_all),
    ] {
        let server = Broadcast::start();
        let setup = Setup::new(&server.address).variable("XDG_STATE_HOME", &state);
        let mut terminal = start(&setup);
        terminal.type_in("one\rtwo\r");
        terminal.wait_for_last(&["» one", "» two", ">"]);
        terminal.type_in("\x1b[A\x1b[A");
        terminal.wait_for_last(&["> one"]);
        assert_eq!(
            terminal.count("the history is not kept"),
            usize::from(is_told)
        );
    }
}
