//! What must hold for any commands.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr};
use std::os::unix::net::UnixStream;
use std::task::Waker;
use std::thread;

use chat_hub::Hub;
use serde_json::Value;

use super::{LINE_LEN_MAX, converse};
use crate::admission::Admission;
use crate::client::Client;
use crate::inside::View;
use crate::inside::places::Places;

/// Sends a connection's bytes, and checks that each line has the answer that it should have.
pub fn check_input(input: &[u8]) {
    let (hub, admission) = (Hub::default(), Admission::default());
    let subscriber = hub.subscribe();
    let mut entry = admission
        .clients()
        .add(Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    entry.begin(
        Client::new(client_addr().into(), subscriber.monitor()),
        Waker::noop(),
    );
    let view = View::new(hub, admission, "oldest", None);
    let (mut near, far) = UnixStream::pair().expect("there are descriptors");
    let answers = thread::scope(|scope| {
        let answering = scope.spawn(|| converse(Places::default().take(far), &view));
        // It does not read on after a line that is too long.
        let _ = near.write_all(input);
        let _ = near.shutdown(Shutdown::Write);
        let mut answers = Vec::new();
        let _ = near.read_to_end(&mut answers);
        let _ = answering.join().expect("nothing that is sent has it panic");
        answers
    });
    let answers = String::from_utf8(answers).expect("answers are text");
    let lines = answers.lines().map(|line| {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{line} is no JSON: {error}"))
    });
    let mut answered = lines.filter_map(|line: Value| match (line.get("ok"), line.get("error")) {
        (Some(ok), None) => Some(Ok(ok.as_str().expect("it is a word").to_owned())),
        (None, Some(_)) => Some(Err(())),
        _ => None,
    });
    for expected in expected(input) {
        let answer = answered.next().expect("each line is answered");
        assert!(
            expected.is_none_or(|expected| answer == expected),
            "{answers}"
        );
    }
    assert_eq!(answered.next(), None, "{answers}");
}

/// Returns how each line is to be answered that has an answer, as far as that is known.
fn expected(input: &[u8]) -> Vec<Option<Result<String, ()>>> {
    let mut expected = Vec::new();
    for line in input.split_inclusive(|&byte| byte == b'\n') {
        let (len_max, is_ended) = (LINE_LEN_MAX as usize, line.ends_with(b"\n"));
        if line.len() > len_max || line.len() == len_max && !is_ended {
            expected.push(Some(Err(())));
            break;
        }
        let line = String::from_utf8_lossy(line);
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            [] => {}
            [command @ ("state" | "clients")] => expected.push(Some(Ok(command.to_owned()))),
            ["close", which] if which.parse() == Ok(client_addr()) => {
                expected.push(Some(Ok("close".to_owned())));
            }
            // Whose number it is depends on how many clients there were before.
            ["close", which] if which.parse::<u64>().is_ok() => expected.push(None),
            _ => expected.push(Some(Err(()))),
        }
    }
    expected
}

fn client_addr() -> SocketAddr {
    (Ipv4Addr::new(192, 0, 2, 1), 7).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_commands_of_the_corpus_are_answered() {
        crate::fuzzed::check_corpus("server_admin", check_input);
    }
}
