use std::{
    fs::File,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    process::Stdio,
    sync::mpsc,
};

use crate::{
    client::{Client, DEADLINE, Ended, run},
    server::{Server, echo, reset},
};

/// Checks that a client failed with one sentence that begins with `sentence`, having printed
/// `output`.
#[track_caller]
fn check(ended: Ended, output: &str, sentence: &str) {
    let Ended {
        code,
        output: printed,
        errors,
    } = ended;
    assert_eq!(
        (code, String::from_utf8(printed).as_deref()),
        (1, Ok(output)),
        "{errors}"
    );
    assert!(
        errors.starts_with(&format!("error: {sentence}")),
        "{errors:?} is not {sentence:?}"
    );
    assert_eq!(
        errors.find('\n'),
        Some(errors.len() - 1),
        "{errors:?} is not one line"
    );
}

#[test]
fn a_refused_connection_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // A port that is taken, so that nobody else can listen there, and does not listen.
    let taken = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    check(
        run(&address, "hello\n"),
        "",
        &format!("cannot connect to {address}: "),
    );
}

#[test]
fn a_server_that_closes_first_is_told() {
    let server = Server::start(|mut stream| stream.write_all(b"\x03one\x03two").unwrap());
    // The input stays open.
    let client = Client::start(&server.address);
    check(
        client.finish(),
        "one\ntwo\n",
        &format!(
            "{}: the server closed the connection; no message was sent, and the input was not sent to its end\n",
            server.address
        ),
    );
}

#[test]
fn a_stream_that_ends_inside_a_message_is_told() {
    let sentence = |address: &str| {
        format!(
            "{address}: the server closed the connection: the stream ended inside a message: 4 of its 6 bytes had arrived; "
        )
    };
    let server = Server::start(|mut stream| stream.write_all(b"\x03one\x05wor").unwrap());
    let client = Client::start(&server.address);
    check(client.finish(), "one\n", &sentence(&server.address));

    let after_half_close = Server::start(|mut stream| {
        echo(stream.try_clone().unwrap());
        stream.write_all(b"\x05wor").unwrap();
    });
    check(
        run(&after_half_close.address, "one\n"),
        "one\n",
        &sentence(&after_half_close.address),
    );
}

#[test]
fn a_reset_is_told_after_what_came_before_it() {
    let (printed_sender, printed) = mpsc::channel();
    let server = Server::start(move |mut stream| {
        stream.write_all(b"\x03one").unwrap();
        printed.recv_timeout(DEADLINE).unwrap();
        reset(stream);
    });
    let mut client = Client::start(&server.address);
    assert_eq!(client.read_line(), "one\n");
    client.type_in(b"hello\n");
    printed_sender.send(()).unwrap();
    check(
        client.finish(),
        "",
        &format!("{}: lost the connection: ", server.address),
    );
}

#[test]
fn writes_that_break_are_told_once_and_hide_no_message() {
    let server = Server::start(|mut stream| {
        stream.write_all(&b"\x07pending".repeat(1000)).unwrap();
        reset(stream);
    });
    let ended = run(&server.address, "a line of a flood\n".repeat(1_000_000));
    // Which of the two sides meets the reset first is chance.
    let sentence = if ended.errors.contains("lost") {
        format!("{}: lost the connection: ", server.address)
    } else {
        format!("{}: the server closed the connection; ", server.address)
    };
    check(ended, &"pending\n".repeat(1000), &sentence);
}

#[test]
fn an_input_that_cannot_be_read_is_told() {
    let server = Server::start(echo);
    let directory = File::open(env!("CARGO_MANIFEST_DIR")).unwrap();
    let client = Client::start_with([&server.address], directory.into(), Stdio::piped());
    let sentence = format!("{}: cannot read the input: ", server.address);
    check(client.finish(), "", &sentence);
    assert_eq!(server.outcome(), b"");
}

#[cfg(target_os = "linux")]
#[test]
fn an_output_that_cannot_be_written_is_told() {
    let server = Server::start(echo);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut client = Client::start_with([&server.address], Stdio::piped(), full.into());
    client.feed("hello\n");
    let sentence = format!("{}: cannot write the output: ", server.address);
    check(client.finish(), "", &sentence);
}

/// Checks that a client that sends `input` to such a server fails, and says how much came back.
#[track_caller]
fn check_unreturned(
    serve: impl FnOnce(TcpStream) + Send + 'static,
    input: &str,
    output: &str,
    summary: &str,
) {
    let server = Server::start(serve);
    let sentence = format!(
        "{}: the server closed the connection; {summary}\n",
        server.address
    );
    check(run(&server.address, input), output, &sentence);
}

#[test]
fn a_server_that_closes_at_once_is_told() {
    let serve = |stream: TcpStream| {
        // It is full. Whether the client's message is still sent is chance.
        stream.shutdown(Shutdown::Write).unwrap();
        let _ = (&stream).read_to_end(&mut Vec::new());
    };
    let server = Server::start(serve);
    let sentence = format!("{}: the server closed the connection; ", server.address);
    check(run(&server.address, "hi\n"), "", &sentence);
}

#[test]
fn a_server_that_swallows_messages_is_told_with_how_many() {
    let swallow = |mut stream: TcpStream| {
        stream.read_to_end(&mut Vec::new()).unwrap();
    };
    check_unreturned(
        swallow,
        "a\nb\nc\n",
        "",
        "3 of 3 messages did not come back",
    );
    let give_the_last = |mut stream: TcpStream| {
        stream.read_to_end(&mut Vec::new()).unwrap();
        stream.write_all(b"\x01x\x01c").unwrap();
    };
    check_unreturned(
        give_the_last,
        "a\nb\nc\n",
        "x\nc\n",
        "2 of 3 messages did not come back",
    );
}

#[test]
fn a_server_that_never_answers_gets_everything_all_the_same() {
    // More than twice the bytes that may be under way.
    let count = 700_000 / 100;
    let input = format!("{:099}\n", 0).repeat(count);
    let server = Server::start(|mut stream| {
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        received.len()
    });
    let mut ended = run(&server.address, input);
    let warning = "is it a chat server? The rest is sent slowly\n";
    let (first, rest) = ended.errors.split_once(warning).unwrap();
    assert!(first.starts_with("warning: "), "{first}");
    ended.errors = rest.to_owned();
    let sentence = format!(
        "{}: the server closed the connection; {count} of {count} messages did not come back\n",
        server.address
    );
    check(ended, "", &sentence);
    assert_eq!(server.outcome(), 700_000);
}
