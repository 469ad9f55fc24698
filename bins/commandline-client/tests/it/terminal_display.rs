//! What is shown: safely, on any terminal, however much arrives.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::broadcast::Broadcast;
use crate::terminal::{HINT, Setup, Terminal};

fn start(setup: &Setup) -> Terminal {
    let terminal = setup.start();
    terminal.wait_until(|rows| rows.last().is_some_and(|row| row == HINT));
    terminal
}

/// Bodies that attack a terminal, and what is to be shown of them.
const ATTACKS: [(&[u8], &str); 14] = [
    (b"\x1b]0;evil title\x07", r"\x1b]0;evil title\x07"),
    (b"\x1b[2J\x1b[1;1Hgone", r"\x1b[2J\x1b[1;1Hgone"),
    (b"\r> rm -rf /", r"\r> rm -rf /"),
    (b"a\r\n-- connected to evil", r"a\r\n-- connected to evil"),
    (b"\x07\x07\x08\x7f", r"\x07\x07\x08\x7f"),
    (
        "\u{9b}2J\u{9d}0;x\u{9c}".as_bytes(),
        r"\u{9b}2J\u{9d}0;x\u{9c}",
    ),
    (b"\x9b2J", r"\x9b2J"),
    (
        "\u{202e}drowssap\u{202c}".as_bytes(),
        r"\u{202e}drowssap\u{202c}",
    ),
    (
        "pay\u{200b}pal\u{feff}\u{ad}".as_bytes(),
        r"pay\u{200b}pal\u{feff}\u{ad}",
    ),
    ("\u{e0041}\u{2066}".as_bytes(), r"\u{e0041}\u{2066}"),
    (b"\x1bP$q\"p\x1b\\", r#"\x1bP$q"p\x1b\"#),
    (b"\x1bc\x0e\x0f", r"\x1bc\x0e\x0f"),
    (b"\x1b[6n\x1b[c\x05", r"\x1b[6n\x1b[c\x05"),
    (b"\xff\xfe\x00", r"\xff\xfe\x00"),
];

#[test]
fn attacks_are_shown_and_do_nothing() {
    let server = Broadcast::start();
    let mut terminal = start(&Setup::new(&server.address));
    terminal.type_in("typed");
    terminal.wait_for_last(&["> typed"]);
    for (body, _) in ATTACKS {
        server.say(body);
    }
    let shown: Vec<_> = ATTACKS
        .iter()
        .map(|(_, shown)| format!("  {shown}"))
        .collect();
    let mut last: Vec<_> = shown.iter().map(String::as_str).collect();
    last.push("> typed");
    terminal.wait_for_last(&last);
    let bytes = terminal.bytes();
    // Neither a bell nor a title nor a question to the terminal.
    assert!(!bytes.contains(&7) && terminal.count("\x1b]") == 0 && terminal.count("\x1bP") == 0);
    assert_eq!(terminal.typed_len(), 0);
}

#[test]
fn no_row_of_a_message_begins_where_the_prompt_does() {
    let server = Broadcast::start();
    let terminal = start(&Setup::new(&server.address));
    server.say(format!("{:78}> rm -rf /", "padded"));
    server.say("x".repeat(77) + "> rm -rf /");
    server.say([0xe2, 0x80, 0x8b].repeat(85));
    server.say("end");
    terminal.wait_for("end");
    let rows = terminal.rows();
    let messages = &rows[1..rows.len() - 2];
    assert!(messages.len() > 10, "{messages:?}");
    assert!(
        messages.iter().all(|row| row.starts_with("  ")),
        "{messages:#?}"
    );
}

/// Sends messages until it is dropped.
struct Flood {
    is_over: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Flood {
    fn start(server: &Arc<Broadcast>) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let (server, is_ending) = (Arc::clone(server), Arc::clone(&is_over));
        let wire: Vec<_> = (0..5000)
            .flat_map(|index| format!("\x0aflood {index:04}").into_bytes())
            .collect();
        let thread = thread::spawn(move || {
            while !is_ending.load(Ordering::Relaxed) {
                server.write(&wire);
            }
        });
        Self {
            is_over,
            thread: Some(thread),
        }
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().unwrap().join();
    }
}

#[test]
fn a_flood_is_summed_up_while_one_types() {
    let server = Arc::new(Broadcast::start());
    let mut terminal = start(&Setup::new(&server.address));
    let flood = Flood::start(&server);
    terminal.wait_for(" last 50 shown");
    let mut typed = String::from(">");
    let mut times = Vec::new();
    for word in ["one", "two", "three", "four", "five"] {
        let start = Instant::now();
        typed = format!("{typed} {word}");
        // The prompt ends with a space.
        let keys = if word == "one" {
            "one"
        } else {
            &format!(" {word}")
        };
        terminal.type_in(keys);
        terminal.wait_for_last(&[&typed]);
        times.push(start.elapsed());
    }
    // Seen with the option `--nocapture`; a loaded machine may be slower than people are.
    println!("keys were shown after {times:?}");
    let memory = terminal.memory_max();
    thread::sleep(Duration::from_millis(500));
    let more = terminal.memory_max() - memory;
    assert!(
        memory < 64 << 20 && more < 8 << 20,
        "{memory} and {more} more"
    );
    drop(flood);
    server.say("calm again");
    terminal.wait_for("  calm again");
    terminal.wait_for_last(&[&typed]);
}

#[test]
fn what_comes_while_one_sends_is_shown_once_and_whole() {
    let server = Arc::new(Broadcast::start());
    // All of it is on the screen in the end.
    let mut terminal = start(&Setup::new(&server.address).size(600, 60));
    let others: Vec<_> = (0..300).map(|index| format!("other {index}")).collect();
    let (saying, bodies) = (Arc::clone(&server), others.clone());
    let talker = thread::spawn(move || {
        for body in bodies {
            saying.say(body);
            thread::sleep(Duration::from_millis(3));
        }
    });
    let mine: Vec<_> = (0..60)
        .map(|index| format!("mine {index} {}", "x".repeat(index)))
        .collect();
    for line in &mine {
        terminal.type_in(format!("{line}\r"));
        thread::sleep(Duration::from_millis(10));
    }
    talker.join().unwrap();
    let mine: Vec<_> = mine.iter().map(|line| line.as_str()).collect();
    server.wait_for_received(&mine);
    server.say("the end");
    terminal.wait_for_last(&["  the end", ">"]);
    let rows = terminal.rows();
    let shown = |margin: &str, word: &str| -> Vec<String> {
        let bodies = rows.iter().filter_map(|row| row.strip_prefix(margin));
        bodies
            .filter(|body| body.starts_with(word))
            .map(str::to_owned)
            .collect()
    };
    let missing: Vec<_> = others
        .iter()
        .filter(|&other| !shown("  ", "other ").contains(other))
        .collect();
    assert!(
        missing.is_empty() && shown("  ", "other ").len() == others.len(),
        "{missing:?}"
    );
    let own = shown("» ", "mine ");
    assert_eq!(own.len(), mine.len(), "{own:#?}");
    for (row, line) in own.iter().zip(mine) {
        // A long one takes a row more, or has its round trip behind it.
        assert!(
            row.starts_with(line) || line.starts_with(row),
            "{row} {line}"
        );
    }
    // Nothing is left of prompts and lines.
    let prompts = rows.iter().filter(|row| row.starts_with('>')).count();
    assert_eq!(prompts, 1, "{rows:#?}");
}

#[test]
fn a_terminal_that_takes_nothing_does_not_make_the_client_slow() {
    let server = Broadcast::start();
    let terminal = start(&Setup::new(&server.address));
    let stalled = terminal.stall();
    // More than sockets hold; it returns when the client has taken nearly all of it.
    let wire = b"\x0ahello, all".repeat(2 << 20);
    server.write(&wire);
    drop(stalled);
    server.say("the end");
    terminal.wait_for("  the end");
    assert!(terminal.memory_max() < 64 << 20);
}

#[test]
fn a_resized_terminal_goes_on() {
    let server = Broadcast::start();
    let mut terminal = start(&Setup::new(&server.address));
    let typed = "0123456789".repeat(5);
    terminal.type_in(&typed);
    terminal.wait_for(&typed);
    for (rows, columns) in [(24, 20), (5, 40), (24, 200), (24, 7), (24, 80)] {
        terminal.resize(rows, columns);
        terminal.type_in("x\x7f");
    }
    server.say("after");
    terminal.wait_for("  after");
    terminal.type_in("\r");
    server.wait_for_received(&[&typed]);
    terminal.wait_for(&format!("» {typed}"));
    terminal.wait_for_last(&[">"]);
}

#[test]
fn a_terminal_that_loses_rows_keeps_the_messages() {
    let server = Broadcast::start();
    let mut terminal = start(&Setup::new(&server.address));
    for index in 0..40 {
        server.say(format!("message {index}"));
    }
    terminal.wait_for_last(&["  message 39", ">", HINT]);
    // The row below the line is cut off each time.
    for rows in [23, 22, 21] {
        terminal.resize(rows, 80);
        terminal.type_in("x");
        terminal.wait_for_last(&["  message 39", "> x"]);
        terminal.type_in("\x7f");
        terminal.wait_for_last(&["  message 38", "  message 39", ">", HINT]);
    }
    server.say("after");
    terminal.wait_for_last(&["  message 38", "  message 39", "  after", ">", HINT]);
}

#[test]
fn a_terminal_that_does_not_block_is_waited_for() {
    for arg in ["--split", "--plain"] {
        let server = Broadcast::start();
        let mut terminal = Setup::new(&server.address).arg(arg).start();
        terminal.wait_for("-- connected to");
        // From the next line on it is read without waiting, and written to while it takes nothing.
        for round in 0..3 {
            terminal.set_nonblocking();
            terminal.type_in(format!("line {round}\n"));
            terminal.wait_for(&format!("line {round}"));
            terminal.set_nonblocking();
            let stalled = terminal.stall();
            for _ in 0..200 {
                server.say("x".repeat(255));
            }
            thread::sleep(Duration::from_millis(200));
            drop(stalled);
            server.say(format!("end {round}"));
            terminal.wait_for(&format!("end {round}"));
        }
        terminal.type_in("\x04");
        assert_eq!(
            terminal.wait().code(),
            Some(0),
            "{arg} {:?}",
            terminal.rows()
        );
        server.wait_for_received(&["line 0", "line 1", "line 2"]);
    }
}

#[test]
fn the_smallest_terminals_do() {
    for (rows, columns) in [(24, 1), (24, 2), (24, 3), (24, 9), (1, 80), (1, 1), (2, 5)] {
        let server = Broadcast::start();
        let mut terminal = Setup::new(&server.address).size(rows, columns).start();
        server.wait_for_clients(1);
        server.say("hello, world");
        server.say("世界");
        terminal.type_in("hi there 世界".repeat(3));
        terminal.type_in("\x1b[D\x1b[D\r");
        server.wait_for_received(&[&"hi there 世界".repeat(3)]);
        terminal.type_in("\x12the\x07");
        terminal.type_in("\x04");
        assert_eq!(terminal.wait().code(), Some(0), "{rows} {columns}");
    }
}

#[test]
fn without_colours_there_are_none() {
    for (name, value) in [("NO_COLOR", "1"), ("NO_COLOR", "")] {
        let server = Broadcast::start();
        let terminal = start(&Setup::new(&server.address).variable(name, value));
        server.say("ann: hi");
        terminal.wait_for_last(&["  ann: hi", ">", HINT]);
        let bytes = String::from_utf8(terminal.bytes()).unwrap();
        let is_style = |rest: &str| {
            rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';')
                .starts_with('m')
        };
        let count = bytes
            .split("\x1b[")
            .skip(1)
            .filter(|rest| is_style(rest))
            .count();
        assert_eq!(count == 0, value == "1", "{bytes:?}");
    }
}

#[test]
fn plain_lines_have_no_escape_sequences() {
    let dumb = |setup: Setup| setup.variable("TERM", "dumb");
    let plain = |setup: Setup| setup.arg("--plain");
    let none = |setup: Setup| setup.variable("TERM", "");
    for prepare in [&dumb as &dyn Fn(Setup) -> Setup, &plain, &none] {
        let server = Broadcast::start();
        let mut terminal = prepare(Setup::new(&server.address)).start();
        terminal.wait_for_last(&[&format!("-- connected to {}", server.address)]);
        server.say("ann: \x1b[2J");
        terminal.wait_for_last(&[r"  ann: \x1b[2J"]);
        terminal.type_in("mine\n");
        terminal.wait_for_last(&["mine", "sent: mine"]);
        terminal.type_in("/stats\n/nope\n");
        terminal.wait_for("-- not sent: there is no command /nope");
        assert!(!terminal.bytes().contains(&0x1b));
        terminal.type_in("\x04");
        assert_eq!(terminal.wait().code(), Some(0));
        server.wait_for_received(&["mine"]);
    }
}

#[test]
fn a_plain_client_ends_with_the_connection_if_it_is_told_to() {
    let server = Broadcast::start();
    let setup = Setup::new(&server.address).arg("--plain");
    let mut terminal = setup.arg("--no-reconnect").start();
    terminal.wait_for("-- connected to");
    terminal.type_in("rm -rf half");
    terminal.wait_for("rm -rf half");
    server.close_clients();
    assert_eq!(terminal.wait().code(), Some(1));
    terminal.wait_for("error: the server closed the connection");
    assert_eq!(terminal.typed_len(), 0);
}
