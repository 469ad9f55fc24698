//! Typing, sending, and what the client says to it.

use crate::broadcast::Broadcast;
use crate::terminal::{HINT, Setup, Terminal};

fn start(server: &Broadcast) -> Terminal {
    let terminal = Setup::new(&server.address).start();
    terminal.wait_for_last(&[&format!("-- connected to {}", server.address), ">", HINT]);
    terminal
}

#[test]
fn a_typed_line_is_sent_and_shown_once_when_it_comes_back() {
    let server = Broadcast::start();
    let mut terminal = start(&server);
    server.hold();
    terminal.type_in("héllo 世界");
    terminal.wait_for_last(&["> héllo 世界"]);
    terminal.type_in("\r");
    terminal.wait_for_last(&[">", "… héllo 世界"]);
    assert!(terminal.is_dim("… héllo"));
    terminal.type_in("second\rthird");
    terminal.wait_for_last(&["> third", "… héllo 世界 (and 1 more)"]);
    server.release();
    terminal.wait_until(|rows| rows.iter().any(|row| row.starts_with("» second")));
    let rows = terminal.rows();
    assert!(
        rows[1].starts_with("» héllo 世界") && rows[2].starts_with("» second"),
        "{rows:?}"
    );
    assert_eq!(rows[3..], ["> third"]);
    server.wait_for_received(&["héllo 世界", "second"]);
}

#[test]
fn messages_appear_above_the_line_and_leave_the_cursor() {
    let server = Broadcast::start();
    let mut terminal = start(&server);
    terminal.type_in("a 世 b\x1b[D\x1b[D");
    terminal.wait_for_last(&["> a 世 b"]);
    server.say("hi");
    server.say("there");
    terminal.wait_for_last(&["  hi", "  there", "> a 世 b"]);
    terminal.type_in("X\x1b[1;5DY");
    terminal.wait_for_last(&["> a Y世X b"]);
    assert_eq!(terminal.cursor().1, 5);
}

#[test]
fn a_line_that_fills_its_row_leaves_the_rows_above() {
    let server = Broadcast::start();
    let mut terminal = Setup::new(&server.address).size(24, 20).start();
    terminal.wait_for("/help");
    server.say("above");
    terminal.wait_for("  above");
    for len in 1..=60_u16 {
        terminal.type_in("x");
        let (rows, column) = ((2 + len) / 20, (2 + len) % 20);
        terminal.wait_until(|screen| {
            let prompt = screen.iter().position(|row| row.starts_with('>'));
            // Above it is a time, too, which is not among the rows.
            let first = prompt.map(|index| 1 + u16::try_from(index).unwrap());
            first.is_some_and(|first| terminal.cursor() == (first + rows, column))
        });
        terminal.wait_for("  above");
        if len % 20 == 18 {
            server.say(format!("at {len}"));
            terminal.wait_for(&format!("  at {len}"));
        }
    }
    terminal.type_in("\x7f\x7f\x03");
    terminal.wait_until(|rows| rows.len() < 9 && rows.iter().any(|row| row == "> "));
    for text in ["  above", "  at 18", "  at 38", "  at 58"] {
        terminal.wait_for(text);
    }
}

#[test]
fn words_are_killed_and_brought_back() {
    let server = Broadcast::start();
    let mut terminal = start(&server);
    terminal.type_in("one two three\x17\x17\x01\x19");
    terminal.wait_for_last(&["> two threeone"]);
    terminal.type_in("\x0b");
    terminal.wait_for_last(&["> two three"]);
    terminal.type_in("\r");
    server.wait_for_received(&["two three"]);
}

#[test]
fn a_paste_of_several_lines_is_sent_after_a_question() {
    let server = Broadcast::start();
    let mut terminal = start(&server);
    terminal.type_in("\x1b[200~one\r\r/two\nthree\r\x1b[201~");
    terminal.wait_for("3 messages");
    terminal.type_in("\r");
    terminal.wait_for_last(&["send 3 messages? [y/N]"]);
    terminal.type_in("n\r");
    terminal.wait_for("3 messages");
    terminal.type_in("\r");
    terminal.wait_for_last(&["send 3 messages? [y/N]"]);
    terminal.type_in("y\r");
    terminal.wait_for_last(&["» one", "» /two", "» three", ">"]);
    server.wait_for_received(&["one", "/two", "three"]);
}

#[test]
fn a_pasted_line_with_its_newline_is_one_message() {
    let server = Broadcast::start();
    let mut terminal = start(&server);
    terminal.type_in("\x1b[200~one\r\x1b[201~");
    terminal.wait_for("1 messages");
    terminal.type_in("\r");
    terminal.wait_for_last(&["» one", ">"]);
}

#[test]
fn what_is_typed_ahead_is_not_lost() {
    let server = Broadcast::start();
    let mut terminal = start(&server);
    let lines: Vec<_> = (0..40).map(|index| format!("line {index}")).collect();
    terminal.type_in(lines.join("\r") + "\rrest");
    terminal.wait_for_last(&["» line 39", "> rest"]);
    server.wait_for_received(&lines.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn the_length_is_counted_near_the_limit_and_too_long_is_kept() {
    let server = Broadcast::start();
    let mut terminal = start(&server);
    terminal.type_in("x".repeat(199));
    terminal.wait_for("xxxx");
    terminal.type_in("ü");
    terminal.wait_for_last(&["201/255"]);
    terminal.type_in("y".repeat(55));
    terminal.wait_for("256/255 bytes: too long");
    terminal.type_in("\r");
    terminal.wait_for("-- not sent: the line is 1 bytes too long");
    terminal.wait_for("256/255 bytes: too long");
    terminal.type_in("\x7f\r");
    let expected = "x".repeat(199) + "ü" + &"y".repeat(54);
    server.wait_for_received(&[&expected]);
}

#[test]
fn a_long_line_is_cut_between_words_with_the_name_before_each() {
    let server = Broadcast::start();
    let setup = Setup::new(&server.address).arg("--split");
    let mut terminal = setup.arg("--nick").arg("ann").start();
    terminal.wait_for("ann>");
    terminal.type_in("word ".repeat(60) + "\r");
    let first = format!("ann: {}", "word ".repeat(50));
    let second = format!("ann: {}", "word ".repeat(10));
    server.wait_for_received(&[&first, &second]);
}

#[test]
fn commands_are_obeyed_and_not_sent() {
    let server = Broadcast::start();
    let mut terminal = start(&server);
    terminal.type_in("/help\r");
    terminal.wait_for("-- /stats ");
    terminal.type_in("/nope now\r");
    terminal
        .wait_for("-- not sent: there is no command /nope; /help lists them, //nope sends /nope");
    terminal.type_in("//slash\r");
    terminal.wait_for_last(&["» /slash", ">"]);
    terminal.type_in("/hex\rabc\r");
    terminal.wait_for_last(&["-- messages are shown as bytes", "» 61 62 63", ">"]);
    terminal.type_in("/hex\r/stats\r");
    terminal.wait_for("-- sent     2 messages, 11 bytes, 0 lost");
    terminal.wait_for("-- round trip p50 ");
    terminal.type_in("/st\t");
    terminal.wait_for_last(&["> /stats"]);
    terminal.type_in("\x03/clear\r");
    terminal.wait_until(|rows| matches!(rows, [row] if row.trim_end() == ">"));
    server.wait_for_received(&["/slash", "abc"]);
}

#[test]
fn a_name_is_sent_with_each_message_and_can_be_changed() {
    let server = Broadcast::start();
    let mut terminal = Setup::new(&server.address).arg("--nick").arg("ann").start();
    terminal.wait_for("ann>");
    terminal.type_in("hi\r");
    terminal.wait_for_last(&["» ann: hi", "ann>"]);
    terminal.type_in("/nick bob\r");
    terminal.wait_for_last(&["-- you are bob now", "bob>"]);
    terminal.type_in("/nick two words\r");
    terminal.wait_for("-- a name has 1 to 32 bytes");
    terminal.type_in("hi\r");
    terminal.wait_for_last(&["» bob: hi", "bob>"]);
    terminal.type_in("/nick\rhi\r");
    terminal.wait_for_last(&["» hi", ">"]);
    server.wait_for_received(&["ann: hi", "bob: hi", "hi"]);
}

#[test]
fn names_have_steady_colours() {
    let server = Broadcast::start();
    let terminal = start(&server);
    server.say("carol: one");
    server.say("carol: two");
    terminal.wait_for("carol: two");
    let bytes = String::from_utf8(terminal.bytes()).unwrap();
    let colours: Vec<_> = bytes
        .match_indices("carol:")
        .map(|(pos, _)| bytes[..pos].rsplit_once("\x1b[").unwrap().1)
        .collect();
    assert_eq!(colours.len(), 2);
    assert!(
        colours[0] == colours[1] && colours[0].ends_with('m'),
        "{colours:?}"
    );
}

#[test]
fn a_byte_that_is_no_text_takes_nothing_away() {
    let server = Broadcast::start();
    let mut terminal = start(&server);
    terminal.type_in("good");
    terminal.wait_for_last(&["> good"]);
    terminal.type_in(b"\xff");
    // What comes in the same read is lost, so not before the line is read again.
    let prepared = |terminal: &Terminal| terminal.count("\x1b[?2004h");
    terminal.wait_until(|_| prepared(&terminal) == 2);
    terminal.type_in(" still\r");
    terminal.wait_for_last(&["» good still", ">"]);
}

#[test]
fn what_comes_during_a_search_is_shown_after_it() {
    let server = Broadcast::start();
    let mut terminal = start(&server);
    terminal.type_in("line\r");
    terminal.wait_for_last(&["» line", ">"]);
    terminal.type_in("\x12li");
    terminal.wait_for("(reverse-i-search)`li': line");
    server.say("one");
    server.say("two");
    terminal.type_in("n\x07");
    terminal.wait_for_last(&["  one", "  two", ">"]);
    server.say("three");
    terminal.type_in("\x12lin\r");
    terminal.wait_until(|rows| rows.iter().filter(|row| *row == "» line").count() == 2);
    terminal.wait_for("  three");
    server.wait_for_received(&["line", "line"]);
}

#[test]
fn the_escape_key_stops_nothing() {
    let server = Broadcast::start();
    let mut terminal = start(&server);
    terminal.type_in("\x1b");
    server.say("hi");
    terminal.wait_for("  hi");
    terminal.type_in("x\r");
    server.wait_for_received(&["x"]);
}

#[test]
fn an_empty_line_sends_nothing() {
    let server = Broadcast::start();
    let mut terminal = start(&server);
    terminal.type_in("\r\rx\r");
    terminal.wait_for_last(&["» x", ">"]);
    server.wait_for_received(&["x"]);
}

#[test]
fn a_typed_line_hides_nothing() {
    let server = Broadcast::start();
    let mut terminal = start(&server);
    terminal.type_in("\x1b[200~pay\u{200b}pal\u{202e}\x1b[31m!\x1b[201~");
    terminal.wait_for_last(&["> paypal!", "2 invisible characters"]);
    // Typed as it is.
    terminal.type_in("\x16\x07");
    terminal.wait_for_last(&["> paypal!", "3 invisible characters"]);
    assert_eq!(terminal.cursor().1, 9);
    assert_eq!(terminal.count("\x1b[31m"), 0);
    terminal.type_in("\r");
    terminal.wait_for_last(&[r"» pay\u{200b}pal\u{202e}!\x07", ">"]);
    server.wait_for_received(&["pay\u{200b}pal\u{202e}!\x07"]);
}
