use std::fs::File;
use std::io::{Read, Write, pipe};
use std::net::TcpStream;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use rustix::io::ioctl_fionbio;

use crate::client::{Client, Ended};
use crate::server::{Server, echo};

/// Runs a client of a server with more arguments and an input; it must not fail.
#[track_caller]
fn output(server: &Server<Vec<u8>>, args: &[&str], input: impl Into<Vec<u8>>) -> Vec<u8> {
    let args = args.iter().copied().chain([&*server.address]);
    let mut client = Client::start_args(args, Stdio::piped(), Stdio::piped());
    client.feed(input);
    let Ended {
        code,
        output,
        errors,
    } = client.finish();
    assert_eq!((code, &errors[..]), (0, ""));
    output
}

/// Checks what an echo server receives and what is printed.
#[track_caller]
fn check(args: &[&str], input: &[u8], wire: &[u8], printed: &[u8]) {
    let server = Server::start(echo);
    let output = output(&server, args, input);
    assert_eq!(
        (&output[..], &server.outcome()[..]),
        (printed, wire),
        "{args:?}"
    );
}

#[test]
fn messages_have_other_forms() {
    check(&["--null"], b"a\nb\0\0", b"\x03a\nb\0", b"a\nb\0\0");
    check(&["--hex"], b"00fF 0a\n\n", b"\x03\0\xFF\n\0", b"00ff0a\n\n");
    check(&["--send-only"], b"hello\n", b"\x05hello", b"");
    let long = [&[b'x'; 250][..], b" ", &[b'y'; 100]].concat();
    let wire = [&[251][..], &[b'x'; 250], b" ", &[100], &[b'y'; 100]].concat();
    let printed = [&[b'x'; 250][..], b" \n", &[b'y'; 100], b"\n"].concat();
    check(&["--split"], &long, &wire, &printed);
}

#[test]
fn json_and_timestamps_have_the_time() {
    let server = Server::start(echo);
    let printed = String::from_utf8(output(&server, &["--json"], "\"h\u{fc}\"\n")).unwrap();
    let (time, rest) = printed.split_at(r#"{"time":"2026-11-26T06:41:39.878Z""#.len());
    assert!(
        time.starts_with(r#"{"time":"20"#) && time.ends_with("Z\""),
        "{printed}"
    );
    assert_eq!(rest, ",\"length\":5,\"text\":\"\\\"h\u{fc}\\\"\"}\n");

    let server = Server::start(echo);
    let printed = String::from_utf8(output(&server, &["--timestamps"], "hello\n")).unwrap();
    let (time, text) = printed.split_once(' ').unwrap();
    assert!(time.starts_with("20") && time.ends_with('Z'), "{printed}");
    assert_eq!(text, "hello\n");
}

#[test]
fn a_file_is_sent_instead_of_the_input() {
    let path = std::env::temp_dir().join(format!("send-file-{}", std::process::id()));
    std::fs::write(&path, "from a file\n").unwrap();
    let name = path.to_str().unwrap();
    check(
        &["--send-file", name],
        b"not this",
        b"\x0bfrom a file",
        b"from a file\n",
    );
    std::fs::remove_file(&path).unwrap();
    let ended = Client::start_with(["--send-file", name], Stdio::null(), Stdio::piped()).finish();
    assert_eq!(ended.code, 1);
    let sentence = format!("error: cannot open {name}: No such file");
    assert!(ended.errors.starts_with(&sentence), "{}", ended.errors);
}

/// Sends numbers without end.
fn count(mut stream: TcpStream) -> Vec<u8> {
    let mut number = 0_u8;
    while stream.write_all(&[1, b'0' + number]).is_ok() {
        number = (number + 1) % 10;
    }
    Vec::new()
}

#[test]
fn it_is_over_after_a_count_of_messages() {
    let server = Server::start(count);
    let args = ["--count", "12", &server.address];
    // The input stays open.
    let client = Client::start_with(args, Stdio::piped(), Stdio::piped());
    let ended = client.finish();
    assert_eq!((ended.code, &ended.errors[..]), (0, ""));
    assert_eq!(ended.output, b"0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n0\n1\n");
}

#[test]
fn it_is_over_when_nothing_is_said_for_a_while() {
    let server = Server::start(|mut stream| {
        stream.write_all(b"\x03one").unwrap();
        let mut received = Vec::new();
        // It neither answers nor closes.
        stream.read_to_end(&mut received).unwrap();
        received
    });
    let args = ["--listen", "--wait", "300ms"];
    assert_eq!(output(&server, &args, ""), b"one\n");
    assert_eq!(server.outcome(), b"");
}

#[test]
fn what_does_not_come_back_while_one_waits_is_told() {
    let server = Server::start(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let args = ["--listen", "--wait", "300ms", &server.address];
    let mut client = Client::start_with(args, Stdio::piped(), Stdio::piped());
    client.feed("hello\n");
    let ended = client.finish();
    assert_eq!(ended.code, 1);
    let sentence = "nothing more is coming; 1 of 1 messages did not come back\n";
    assert!(ended.errors.ends_with(sentence), "{}", ended.errors);
}

#[test]
fn a_listener_stays_when_the_input_has_ended() {
    let server = Server::start(|mut stream| {
        let mut hello = [0; 6];
        stream.read_exact(&mut hello).unwrap();
        stream.write_all(&hello).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_millis(300)))
            .unwrap();
        let read = stream.read(&mut [0]);
        assert!(read.is_err(), "it has half-closed: {read:?}");
        stream.write_all(b"\x04more").unwrap();
        hello.to_vec()
    });
    let args = ["--listen", &server.address];
    let mut client = Client::start_with(args, Stdio::piped(), Stdio::piped());
    client.feed("hello\n");
    let ended = client.finish();
    assert_eq!((ended.code, &ended.output[..]), (1, &b"hello\nmore\n"[..]));
    let sentence = "the server closed the connection; the message that was sent came back\n";
    assert!(ended.errors.ends_with(sentence), "{}", ended.errors);
}

#[test]
fn fewer_messages_than_the_count_are_a_failure() {
    let server = Server::start(echo);
    let args = ["--count", "3", &server.address];
    let mut client = Client::start_with(args, Stdio::piped(), Stdio::piped());
    client.feed("a\nb\n");
    let ended = client.finish();
    assert_eq!((ended.code, &ended.output[..]), (1, &b"a\nb\n"[..]));
}

#[test]
fn waiting_begins_when_the_input_has_ended() {
    let server = Server::start(echo);
    let args = ["--wait", "200ms", &server.address];
    let mut client = Client::start_with(args, Stdio::piped(), Stdio::piped());
    client.type_in(b"a\n");
    assert_eq!(client.read_line(), "a\n");
    thread::sleep(Duration::from_millis(500));
    client.type_in(b"b\n");
    client.end_input();
    let ended = client.finish();
    assert_eq!((ended.code, &ended.output[..]), (0, &b"b\n"[..]));
}

#[test]
fn no_input_at_a_full_server_is_no_failure_whoever_is_first() {
    for _ in 0..20 {
        let server = Server::start(|stream| stream.shutdown(std::net::Shutdown::Write).unwrap());
        let args = [&*server.address];
        let ended = Client::start_with(args, Stdio::null(), Stdio::piped()).finish();
        assert_eq!((ended.code, &ended.errors[..]), (0, ""));
    }
}

#[test]
fn several_addresses_are_tried_in_turn() {
    let server = Server::start(echo);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = TcpStream::connect(taken.local_addr().unwrap()).unwrap();
    let closed = closed.local_addr().unwrap().to_string();
    let args = [&*closed, &*server.address];
    let mut client = Client::start_with(args, Stdio::piped(), Stdio::piped());
    client.feed("hello\n");
    let ended = client.finish();
    assert_eq!((ended.code, &ended.output[..]), (0, &b"hello\n"[..]));
    let sentence = format!("warning: cannot connect to {closed}: ");
    assert!(ended.errors.starts_with(&sentence), "{}", ended.errors);
}

#[test]
fn pipes_that_do_not_block_are_waited_for() {
    let server = Server::start(echo);
    let (stdin, mut input) = pipe().unwrap();
    let (mut output, stdout) = pipe().unwrap();
    ioctl_fionbio(&stdin, true).unwrap();
    ioctl_fionbio(&stdout, true).unwrap();
    let args = [&*server.address];
    let client = Client::start_with(args, stdin.into(), stdout.into());
    let lines: String = (0..50_000).map(|number| format!("{number:09}\n")).collect();
    let expected = lines.clone();
    let writing = thread::spawn(move || {
        // Nothing is there to be read at first.
        thread::sleep(Duration::from_millis(200));
        input.write_all(lines.as_bytes()).unwrap();
    });
    // More than a pipe holds waits for us.
    thread::sleep(Duration::from_millis(500));
    let mut printed = String::new();
    output.read_to_string(&mut printed).unwrap();
    writing.join().unwrap();
    let ended = client.finish();
    assert_eq!((ended.code, &ended.errors[..]), (0, ""));
    assert!(printed == expected);
}

#[test]
fn an_output_that_is_closed_from_the_start_is_no_failure_of_the_client() {
    let server = Server::start(echo);
    let null = File::options().write(true).open("/dev/null").unwrap();
    let mut client = Client::start_with([&*server.address], Stdio::piped(), null.into());
    client.feed("hello\n");
    assert_eq!(client.finish().code, 0);
}
