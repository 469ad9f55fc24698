//! The server of forty lines of Python with one line changed, and the cases that find it. They stand
//! for mistakes that people make, and that the wrong server for the load tester has not.

use std::time::Duration;

use chat_conform::Suite;

use crate::conform::{failed_musts, has_python, script};
use crate::run::path;

/// Changes lines of the server, and runs the cases that `globs` choose. All of `must` have to fail,
/// and nothing else of the level MUST.
#[track_caller]
fn check(name: &str, [from, to]: [&str; 2], globs: &[&str], must: &[&str]) {
    if !has_python() {
        return;
    }
    let source = std::fs::read_to_string(script()).unwrap();
    assert!(source.contains(from), "{name}: nothing is changed");
    let mutant = path(&format!("mutant-{name}.py"));
    std::fs::write(&mutant, source.replace(from, to)).unwrap();
    let suite = Suite::new("python3").args([&mutant]).patience(PATIENCE);
    let report = suite.only(globs.iter().copied()).unwrap().run().unwrap();
    let failed = failed_musts(&report);
    assert_eq!(failed, must.iter().copied().collect(), "{name}\n{report}");
}

#[test]
fn an_empty_message_that_is_passed_over_is_found() {
    let change = [
        "            for client in clients:\n",
        "            for client in clients if header[0] else ():\n",
    ];
    let must = [
        "rule-3/every-length",
        "rule-3/empty-message",
        "rule-3/many-empty-messages",
        "rule-3/empty-between-others",
        "rule-3/glued",
        "rule-3/cut-at-every-byte",
    ];
    check("empty", change, &["rule-3/*"], &must);
}

#[test]
fn a_body_that_is_trimmed_is_found() {
    let change = [
        "client.write(message)",
        "client.write(message.replace(b'\\r', b''))",
    ];
    let globs = ["rule-3/line-ends", "rule-3/glued", "rule-3/header-apart"];
    check("trimmed", change, &globs, &["rule-3/line-ends"]);
}

#[test]
fn an_unfinished_message_that_is_forwarded_is_found() {
    let change = [
        "    except (asyncio.IncompleteReadError, ConnectionError):\n        pass\n",
        "    except asyncio.IncompleteReadError as error:\n        for client in clients:\n            if error.partial:\n                client.write(bytes([len(error.partial)]) + error.partial)\n",
    ];
    let must = [
        "rule-8/inside-body-by-fin",
        "rule-8/last-byte-missing",
        "rule-8/whole-before-unfinished",
        "rule-8/next-client-starts-clean",
    ];
    let globs = [
        "rule-8/*fin*",
        "rule-8/last*",
        "rule-8/*-unfinished",
        "rule-8/next*",
    ];
    check("unfinished", change, &globs, &must);
}

#[test]
fn a_slow_client_that_is_closed_is_found() {
    let change = [
        "                    client.write(message)\n",
        "                    client.write(message)\n                else:\n                    client.transport.abort()\n",
    ];
    let globs = ["rule-6/never-*", "rule-6/bursts*", "rule-4/silent-client"];
    check(
        "closes-slow",
        change,
        &globs,
        &["rule-6/never-reads-stays-connected"],
    );
}

#[test]
fn signals_that_are_not_handled_are_found() {
    let change = ["loop.add_signal_handler(name, end.set)", "pass"];
    let globs = ["rule-10/sig*-idle", "rule-10/at-once", "rule-10/nobody*"];
    let must = [
        "rule-10/sigterm-idle",
        "rule-10/sigint-idle",
        "rule-10/at-once",
    ];
    check("signals", change, &globs, &must);
}

/// The server goes on taking what is sent to it, so nothing but the suite's own deadline ends a flood.
#[test]
fn signals_that_are_ignored_in_a_flood_are_found() {
    let change = [
        "loop.add_signal_handler(name, end.set)",
        "loop.add_signal_handler(name, lambda: None)",
    ];
    let globs = ["rule-10/sig*-under-load"];
    let must = ["rule-10/sigterm-under-load", "rule-10/sigint-under-load"];
    check("ignores", change, &globs, &must);
}

#[test]
fn a_line_for_each_client_is_found() {
    let change = [
        "    clients.add(writer)\n",
        "    clients.add(writer)\n    print('hello', flush=True)\n",
    ];
    let must = [
        "rule-2/printed-once",
        "rule-2/silent-in-trouble",
        "rule-2/silent-at-the-end",
    ];
    let globs = ["rule-2/*once", "rule-2/silent*", "rule-2/r*"];
    check("greets", change, &globs, &must);
}

#[test]
fn a_ready_line_without_an_end_is_found() {
    let change = [", flush=True)", ", end='', flush=True)"];
    check("endless", change, &["rule-2/*"], &["rule-2/ready-line"]);
}

/// How long to wait for something that does not come. Python takes half a second to start.
const PATIENCE: Duration = Duration::from_secs(8);
