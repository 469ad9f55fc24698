use std::io::{Read, Write};

use crate::{
    client::{Client, Ended, run},
    server::{Server, echo},
};

/// Checks what reaches an echo server when `input` is piped, and that all of it comes back as
/// lines.
#[track_caller]
fn check(input: &[u8], wire: &[u8], output: &[u8]) {
    let server = Server::start(echo);
    let ended = run(&server.address, input);
    assert_eq!(
        ended,
        Ended {
            code: 0,
            output: output.to_vec(),
            errors: String::new()
        }
    );
    assert_eq!(server.outcome(), wire);
}

/// Checks the same where the given lines, each with its length, are too long.
#[track_caller]
fn check_refused(input: &[u8], output: &[u8], refused: &[(u64, usize)]) {
    let server = Server::start(echo);
    let ended = run(&server.address, input);
    let errors = refused.iter().map(|(number, len)| {
        format!("error: line {number}: a body has at most 255 bytes, not {len}\n")
    });
    assert_eq!(
        ended,
        Ended {
            code: 1,
            output: output.to_vec(),
            errors: errors.collect()
        }
    );
}

#[test]
fn each_line_is_a_message() {
    check(b"hello\nworld\n", b"\x05hello\x05world", b"hello\nworld\n");
}

#[test]
fn an_empty_line_is_an_empty_message() {
    check(b"\n\none\n\n", b"\0\0\x03one\0", b"\n\none\n\n");
}

#[test]
fn the_last_line_needs_no_newline() {
    check(b"one\ntwo", b"\x03one\x03two", b"one\ntwo\n");
}

#[test]
fn no_input_is_no_message() {
    check(b"", b"", b"");
}

#[test]
fn bytes_of_any_value_pass_as_they_are() {
    let body: Vec<u8> = (0..=255).filter(|&byte| byte != b'\n').collect();
    let line = [&body[..], b"\n"].concat();
    check(&line, &[&[255], &body[..]].concat(), &line);
    check(
        b"one\r\n\x1b[2J\n",
        b"\x04one\r\x04\x1b[2J",
        b"one\r\n\x1b[2J\n",
    );
}

#[test]
fn a_line_over_255_bytes_is_refused_and_the_rest_is_sent() {
    let (longest, long) = ([b'x'; 255], [b'y'; 256]);
    let longest_line = [&longest[..], b"\n"].concat();
    check(&longest, &[&[255], &longest[..]].concat(), &longest_line);
    check_refused(
        &[&long[..], b"\n", &longest[..], b"\n"].concat(),
        &longest_line,
        &[(1, 256)],
    );
    check_refused(
        &[b"one\n", &long[..], b"\ntwo\n"].concat(),
        b"one\ntwo\n",
        &[(2, 256)],
    );
    check_refused(&[b"one\n", &long[..]].concat(), b"one\n", &[(2, 256)]);
    check_refused(
        &[&[b'z'; 1_000_000], &b"\n\n"[..], &long].concat(),
        b"\n",
        &[(1, 1_000_000), (3, 256)],
    );
}

#[test]
fn a_host_name_is_looked_up() {
    let server = Server::start(echo);
    let address = server.address.replace("127.0.0.1", "localhost");
    assert_eq!(run(&address, "hello\n").output, b"hello\n");
}

#[test]
fn a_line_is_sent_before_more_input_comes() {
    let server = Server::start(echo);
    let mut client = Client::start(&server.address);
    client.type_in(b"one\ntw");
    assert_eq!(client.read_line(), "one\n");
    client.type_in(b"o\n");
    assert_eq!(client.read_line(), "two\n");
    client.end_input();
    assert_eq!(
        client.finish(),
        Ended {
            code: 0,
            output: Vec::new(),
            errors: String::new()
        }
    );
}

#[test]
fn what_comes_after_the_half_close_is_printed() {
    let server = Server::start(|mut stream| {
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        stream.write_all(&received).unwrap();
        stream.write_all(b"\x04late\0").unwrap();
        received
    });
    let ended = run(&server.address, "early\n");
    assert_eq!(
        ended,
        Ended {
            code: 0,
            output: b"early\nlate\n\n".to_vec(),
            errors: String::new()
        }
    );
    assert_eq!(server.outcome(), b"\x05early");
}

#[test]
fn ten_megabytes_pass_an_echo_without_deadlock() {
    let lines = (0..10_000_000 / 50).map(|number| format!("{number:049}\n"));
    let input = lines.collect::<String>().into_bytes();
    let server = Server::start(echo);
    let ended = run(&server.address, input.clone());
    assert_eq!((ended.code, &ended.errors[..]), (0, ""));
    assert!(
        ended.output == input,
        "{} bytes of {} came back",
        ended.output.len(),
        input.len()
    );
}

#[test]
fn a_closed_output_is_a_normal_end() {
    let server = Server::start(|mut stream| {
        stream.write_all(b"\x03one").unwrap();
        stream.read_exact(&mut [0; 4]).unwrap();
        stream.write_all(b"\x03two").unwrap();
        // Until the client closes or resets the connection.
        let _ = stream.read(&mut [0]);
    });
    let mut client = Client::start(&server.address);
    assert_eq!(client.read_line(), "one\n");
    client.close_output();
    client.type_in(b"now\n");
    assert_eq!(
        client.finish(),
        Ended {
            code: 0,
            output: Vec::new(),
            errors: String::new()
        }
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_line_without_end_takes_no_memory() {
    const LINE_LEN: usize = 64 * 1024 * 1024;
    let server = Server::start(echo);
    let mut client = Client::start(&server.address);
    for _ in 0..LINE_LEN / (1024 * 1024) {
        client.type_in(&[b'x'; 1024 * 1024]);
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", client.id())).unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let peak_kib: usize = peak.trim().strip_suffix(" kB").unwrap().parse().unwrap();
    assert!(peak_kib * 1024 < LINE_LEN / 4, "{peak_kib} KiB");

    client.end_input();
    let errors = format!("error: line 1: a body has at most 255 bytes, not {LINE_LEN}\n");
    assert_eq!(
        client.finish(),
        Ended {
            code: 1,
            output: Vec::new(),
            errors
        }
    );
}
