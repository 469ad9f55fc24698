use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use chat_stress::{Failure, Load, Measured, Order, ProtocolName, Run, Target};

/// What a toy server reads.
enum Command {
    Publish(Vec<u8>),
    /// It is answered with this, and with anything else that has to come first.
    Answer(Vec<u8>),
    /// The client is to get what is published from now on, after this answer.
    Subscribe(Vec<u8>),
    Pong,
}

fn line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

fn block(reader: &mut impl BufRead, len: usize) -> io::Result<Vec<u8>> {
    let mut block = vec![0; len];
    reader.read_exact(&mut block)?;
    Ok(block)
}

fn nats(reader: &mut impl BufRead) -> io::Result<Command> {
    let line = line(reader)?;
    let mut words = line.split(' ');
    Ok(match (words.next(), words.next_back()) {
        (Some("PUB"), Some(len)) => {
            let len: usize = len.parse().unwrap();
            let mut body = block(reader, len + 2)?;
            body.truncate(len);
            Command::Publish(body)
        }
        (Some("CONNECT"), _) => Command::Answer(b"INFO {\"server_id\":\"toy\"}\r\n".to_vec()),
        (Some("SUB"), Some("1")) => Command::Subscribe(b"PING\r\n".to_vec()),
        (Some("PONG"), _) => Command::Pong,
        other => panic!("{other:?}"),
    })
}

fn redis(reader: &mut impl BufRead) -> io::Result<Command> {
    let count: usize = line(reader)?.strip_prefix('*').unwrap().parse().unwrap();
    let mut words = Vec::new();
    for _ in 0..count {
        let len: usize = line(reader)?.strip_prefix('$').unwrap().parse().unwrap();
        let mut word = block(reader, len + 2)?;
        word.truncate(len);
        words.push(word);
    }
    Ok(match &*words[0] {
        b"PUBLISH" => Command::Publish(words.pop().unwrap()),
        b"HELLO" => Command::Answer(b"%1\r\n$5\r\nproto\r\n:3\r\n".to_vec()),
        b"SUBSCRIBE" => {
            Command::Subscribe(b">3\r\n$9\r\nsubscribe\r\n$4\r\nchat\r\n:1\r\n".to_vec())
        }
        // The answers of a server that knows nothing of it do no harm.
        b"CLIENT" => Command::Answer(b"+OK\r\n".to_vec()),
        other => panic!("{}", other.escape_ascii()),
    })
}

fn mqtt(reader: &mut impl BufRead) -> io::Result<Command> {
    let kind = block(reader, 1)?[0];
    let (mut len, mut shift) = (0, 0);
    loop {
        let byte = block(reader, 1)?[0];
        len |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            break;
        }
    }
    let packet = block(reader, len)?;
    Ok(match kind {
        0x10 => Command::Answer(vec![0x20, 2, 0, 0]),
        0x82 => Command::Subscribe(vec![0x90, 3, packet[0], packet[1], 0]),
        0x30 => Command::Publish(packet[6..].to_vec()),
        other => panic!("{other:#x}"),
    })
}

/// Returns how a message arrives.
fn arriving(protocol: ProtocolName, body: &[u8]) -> Vec<u8> {
    let len = body.len();
    let beginning = match protocol {
        ProtocolName::Nats => format!("MSG chat 1 {len}\r\n").into_bytes(),
        ProtocolName::Redis => {
            format!(">3\r\n$7\r\nmessage\r\n$4\r\nchat\r\n${len}\r\n").into_bytes()
        }
        _ if len + 6 < 128 => [&[0x30, len as u8 + 6][..], b"\0\x04chat"].concat(),
        _ => [
            &[0x30, (len + 6) as u8 | 0x80, ((len + 6) >> 7) as u8][..],
            b"\0\x04chat",
        ]
        .concat(),
    };
    let end: &[u8] = if protocol == ProtocolName::Mqtt {
        b""
    } else {
        b"\r\n"
    };
    [&beginning, body, end].concat()
}

/// What is wrong with a toy server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// Every other client gets each two messages the other way round.
    Swaps,
    /// It says an error instead of the tenth message.
    Errs,
}

struct Hub {
    clients: Vec<TcpStream>,
    held: Option<Vec<u8>>,
    count: usize,
}

impl Hub {
    fn publish(&mut self, protocol: ProtocolName, fault: Fault, body: &[u8]) {
        self.count += 1;
        let mut message = arriving(protocol, body);
        if fault == Fault::Errs && self.count == 10 {
            message = match protocol {
                ProtocolName::Nats => b"-ERR 'Authorization Violation'\r\n".to_vec(),
                ProtocolName::Redis => b"-ERR 'Authorization Violation'\r\n".to_vec(),
                _ => vec![0x20, 2, 0, 5],
            };
        }
        let held = self.held.replace(message.clone()).unwrap_or_default();
        let is_pair = self.count.is_multiple_of(2);
        for (index, mut client) in self.clients.iter().enumerate() {
            let is_swapped = fault == Fault::Swaps && index % 2 == 1;
            // It may have left.
            let _ = match (is_swapped, is_pair) {
                (false, _) => client.write_all(&message),
                (true, false) => Ok(()),
                (true, true) => client.write_all(&[&*message, &*held].concat()),
            };
        }
    }
}

/// Serves one client until it leaves.
fn serve_client(
    stream: &TcpStream,
    hub: &Mutex<Hub>,
    protocol: ProtocolName,
    fault: Fault,
) -> io::Result<()> {
    let (mut reader, mut stream) = (BufReader::new(stream), stream.try_clone()?);
    let (mut ponged, mut published) = (protocol != ProtocolName::Nats, 0);
    loop {
        let command = match protocol {
            ProtocolName::Nats => nats(&mut reader)?,
            ProtocolName::Redis => redis(&mut reader)?,
            _ => mqtt(&mut reader)?,
        };
        match command {
            Command::Publish(body) => {
                published += 1;
                // What comes before the first arrives may cross the question.
                assert!(ponged || published < 2, "a question was not answered");
                hub.lock().unwrap().publish(protocol, fault, &body);
            }
            Command::Answer(answer) => stream.write_all(&answer)?,
            Command::Subscribe(answer) => {
                let mut hub = hub.lock().unwrap();
                stream.write_all(&answer)?;
                hub.clients.push(stream.try_clone()?);
            }
            Command::Pong => ponged = true,
        }
    }
}

/// Runs a load on a toy server.
fn run(protocol: ProtocolName, fault: Fault) -> Measured {
    let serve = move |listener: TcpListener| {
        let hub = Hub {
            clients: Vec::new(),
            held: None,
            count: 0,
        };
        let hub = Arc::new(Mutex::new(hub));
        for stream in listener.incoming().map(Result::unwrap) {
            stream.set_nodelay(true).unwrap();
            let hub = Arc::clone(&hub);
            thread::spawn(move || {
                // It ends when the client leaves.
                let _ = serve_client(&stream, &hub, protocol, fault);
                let _ = stream.shutdown(std::net::Shutdown::Both);
            });
        }
    };
    let load = Load {
        publishers: 4,
        subscribers: 1,
        messages: Some(300),
        pacing: chat_stress::Pacing::window(20),
        repetitions: 2,
        timeout: Duration::from_secs(30),
        ..Load::default()
    };
    Run::new(Target::serve(serve).unwrap(), load)
        .with_protocol(protocol)
        .measure(&mut ())
        .unwrap()
}

const OTHERS: [ProtocolName; 3] = [ProtocolName::Nats, ProtocolName::Redis, ProtocolName::Mqtt];

#[test]
fn right_servers_of_all_protocols_are_proved() {
    for protocol in OTHERS {
        let measured = run(protocol, Fault::None);
        measured.assert_kept();
        let results = measured.results;
        assert_eq!(results.counts.delivered, 2 * 300 * 4 * 8, "{protocol}");
        let told = format!("which are conventions of the chat (the server speaks {protocol})");
        assert!(
            results.not_tested.iter().any(|it| it.ends_with(&told)),
            "{:?}",
            results.not_tested
        );
    }
}

#[test]
fn wrong_orders_are_convicted_in_all_protocols() {
    for protocol in OTHERS {
        let measured = run(protocol, Fault::Swaps);
        let is_broken = matches!(measured.results.order, Order::Broken { .. });
        assert!(is_broken, "{protocol}: {:?}", measured.failure);
    }
}

#[test]
fn errors_of_servers_end_the_run_and_are_told() {
    for protocol in OTHERS {
        let failure = run(protocol, Fault::Errs).failure.unwrap();
        assert!(matches!(failure, Failure::Stopped { .. }), "{failure:?}");
        let told = failure.to_string();
        assert!(
            told.contains("the server answered with an error: "),
            "{told}"
        );
    }
}
