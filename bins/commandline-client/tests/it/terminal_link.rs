//! Connections that end and come back.

use crate::broadcast::Broadcast;
use crate::terminal::{HINT, Setup, Terminal};

fn start(server: &Broadcast) -> Terminal {
    let terminal = Setup::new(&server.address).start();
    terminal.wait_for_last(&[&format!("-- connected to {}", server.address), ">", HINT]);
    terminal
}

#[test]
fn a_server_that_comes_back_finds_the_typed_line() {
    let server = Broadcast::start();
    let address = server.address.clone();
    let mut terminal = start(&server);
    terminal.type_in("half a li");
    terminal.wait_for_last(&["> half a li"]);
    drop(server);
    terminal.wait_for("-- the server closed the connection");
    terminal.wait_for_last(&["! half a li", "not connected"]);
    terminal.type_in("ne\r");
    terminal.wait_for("-- not sent: there is no connection now");
    let server = Broadcast::start_at(&address);
    let connected = format!("-- connected to {address}");
    terminal.wait_until(|rows| rows.iter().filter(|&row| *row == connected).count() == 2);
    terminal.wait_for_last(&["> half a line"]);
    terminal.type_in("\r");
    terminal.wait_for_last(&["» half a line", ">"]);
    server.wait_for_received(&["half a line"]);
}

#[test]
fn what_did_not_come_back_is_named_and_sent_again_with_a_key() {
    let server = Broadcast::start();
    let mut terminal = start(&server);
    server.hold();
    terminal.type_in("one\rtwo\rthr");
    server.wait_for_received(&["one", "two"]);
    server.close_clients();
    terminal.wait_for("-- did not come back: one");
    terminal.wait_for("-- did not come back: two");
    terminal.wait_for("-- Alt-R or /resend sends them again");
    server.wait_for_clients(1);
    terminal.wait_for_last(&["> thr"]);
    server.swallow();
    terminal.type_in("\x1br");
    terminal.wait_for_last(&["» one", "» two", "> thr"]);
    terminal.type_in("\x1br");
    terminal.wait_for_last(&["-- there is nothing to send again", "> thr"]);
    server.wait_for_received(&["one", "two", "one", "two"]);
}

#[test]
fn own_messages_that_are_certainly_lost_are_told_of() {
    let server = Broadcast::start();
    let mut terminal = start(&server);
    server.hold();
    terminal.type_in("lost\r");
    server.wait_for_received(&["lost"]);
    server.swallow();
    terminal.type_in("kept\r");
    terminal.wait_for_last(&["» kept", "-- 1 message of yours got lost", ">"]);
}

#[test]
fn another_connection_can_be_asked_for() {
    let server = Broadcast::start();
    let mut terminal = start(&server);
    terminal.type_in("/reconnect\r");
    let connected = format!("-- connected to {}", server.address);
    let last = ["-- left the connection; connecting again", &connected, ">"];
    terminal.wait_for_last(&last);
}

#[test]
fn without_reconnecting_the_client_ends_with_the_connection() {
    let server = Broadcast::start();
    let mut terminal = Setup::new(&server.address).arg("--no-reconnect").start();
    terminal.wait_for_last(&[&format!("-- connected to {}", server.address), ">", HINT]);
    terminal.type_in("rm -rf half");
    terminal.wait_for_last(&["> rm -rf half"]);
    server.close_clients();
    // What is typed when it is over already.
    terminal.type_in(" now\r");
    assert_eq!(terminal.wait().code(), Some(1));
    terminal.wait_for_last(&["error: the server closed the connection"]);
    assert!(terminal.is_in_order());
    assert_eq!(terminal.typed_len(), 0);
}

#[test]
fn what_did_not_come_back_is_named_when_it_is_over() {
    let server = Broadcast::start();
    let mut terminal = Setup::new(&server.address).arg("--no-reconnect").start();
    terminal.wait_for(HINT);
    server.hold();
    terminal.type_in("one\r");
    server.wait_for_received(&["one"]);
    server.close_clients();
    assert_eq!(terminal.wait().code(), Some(1));
    let error = "error: the server closed the connection";
    terminal.wait_for_last(&["-- did not come back: one", error]);
}

#[test]
fn a_server_that_gives_nothing_back_is_asked_about() {
    let server = Broadcast::start();
    let mut terminal = start(&server);
    server.hold();
    terminal.type_in("anybody?\r");
    terminal.wait_for("; is it a chat server?");
}

#[test]
fn a_wrong_address_ends_the_client_at_once() {
    let server = Broadcast::start();
    let address = server.address.clone();
    drop(server);
    let mut terminal = Setup::new(&address).start();
    assert_eq!(terminal.wait().code(), Some(1));
    terminal.wait_for(&format!(
        "error: cannot connect to {address}: Connection refused"
    ));
    assert!(terminal.is_in_order());
}

#[test]
fn a_server_that_ends_inside_a_message_is_told_of() {
    let server = Broadcast::start();
    let terminal = start(&server);
    server.write(b"\x05hel");
    server.close_clients();
    terminal.wait_for("-- the server closed the connection: ");
    terminal.wait_until(|rows| {
        rows.iter()
            .filter(|row| row.contains("connected to"))
            .count()
            == 2
    });
}
