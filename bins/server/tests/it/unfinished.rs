use std::thread;
use std::time::Duration;

use crate::util::Server;

#[test]
fn a_client_that_does_not_finish_a_message_is_closed() {
    let args = ["--message-timeout", "1s", "--log", "info"];
    let mut server = Server::start_with(&args);
    let mut other = server.join(b"other");
    let mut client = server.join(b"client");
    assert_eq!(other.receive(), b"client");
    client.send_raw(b"\x05hel");
    // On a message boundary, and with everything before it.
    other.send(b"before");
    assert_eq!(client.receive_all(), [b"before"]);
    other.send(b"after");
    assert_eq!(
        [other.receive(), other.receive()],
        [b"before".as_slice(), b"after"]
    );
    server.assert_serves();
    let log = server.end();
    assert!(log.contains("did not finish a message in 1s"), "{log}");
}

#[test]
fn one_byte_after_the_other_does_not_help() {
    let server = Server::start_with(&["--message-timeout", "1s"]);
    let mut client = server.connect();
    client.send_raw(&[255]);
    let sending = client.stream.try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            use std::io::Write;
            // Not the whole message, and not before it should be closed.
            for _ in 0..200 {
                thread::sleep(Duration::from_millis(50));
                if (&sending).write_all(b"m").is_err() {
                    return;
                }
            }
            panic!("it was not closed");
        });
        assert!(client.is_closed());
    });
}

#[test]
fn each_message_has_the_whole_time() {
    let server = Server::start_with(&["--message-timeout", "2s"]);
    let mut client = server.connect();
    // There is always one that is unfinished, but never for long.
    client.send_raw(b"\x01");
    for number in 0..12 {
        thread::sleep(Duration::from_millis(250));
        client.send_raw(&[number, 1]);
        assert_eq!(client.receive(), [number]);
    }
    client.send_raw(b"m");
    assert_eq!(client.receive(), b"m");
    // Nor does silence matter between messages.
    thread::sleep(Duration::from_millis(2500));
    client.send(b"again");
    assert_eq!(client.receive(), b"again");
}
