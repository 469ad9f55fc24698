//! All that stands in a stream, as a witness that is none of the chat servers.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use chat_cluster::{Envelope, Filter};
use serde_json::{Value, json};

use crate::{ClusterError, WAIT};

/// What stands in a stream.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Dump {
    /// The bodies of the messages that count, in their order.
    pub bodies: Vec<Vec<u8>>,
    /// How many entries there are.
    pub entry_count: u64,
    /// How many of them do not count: repeated ones, and those of earlier runs.
    pub skipped_count: u64,
}

/// Reads a stream from a server of NATS, to the last entry that it has by now.
///
/// # Errors
///
/// When it cannot be read, or has something in it that is no entry of a cluster.
pub fn dump(addr: SocketAddr, stream: &str) -> Result<Dump, ClusterError> {
    let failed = ClusterError::io("reading the stream");
    let mut wire = Wire::connect(addr).map_err(failed)?;
    let (mut dump, mut filter) = (Dump::default(), Filter::new());
    let mut pending = wire.begin(stream).map_err(failed)?;
    while pending > 0 {
        let entry = wire.next_of(ENTRY).map_err(failed)?;
        let place;
        (place, pending) = entry.place().map_err(failed)?;
        dump.entry_count += 1;
        if place != dump.entry_count {
            return Err(ClusterError::Stream(
                "entries were lost on their way".to_owned(),
            ));
        }
        dump.add(&mut filter, &entry.payload)?;
    }
    Ok(dump)
}

impl Dump {
    /// Adds an entry.
    fn add(&mut self, filter: &mut Filter, payload: &[u8]) -> Result<(), ClusterError> {
        match Envelope::parse(payload) {
            Ok(Envelope::Open { header, .. }) => {
                self.skipped_count += u64::from(filter.admit(&header).is_err());
            }
            Ok(Envelope::Batch {
                header, messages, ..
            }) => {
                if filter.admit(&header).is_ok() {
                    let bodies = messages.iter().map(|body| body.as_bytes().to_vec());
                    self.bodies.extend(bodies);
                } else {
                    self.skipped_count += 1;
                }
            }
            Ok(_) => {}
            Err(error) => return Err(ClusterError::Stream(error.to_string())),
        }
        Ok(())
    }
}

/// A connection to NATS.
struct Wire {
    reader: BufReader<TcpStream>,
    /// Entries that came before the answer to the request for them.
    early: VecDeque<Arrived>,
}

/// A message of NATS.
struct Arrived {
    subscription: String,
    reply: String,
    payload: Vec<u8>,
}

impl Arrived {
    /// Returns which delivery of its consumer it is, from 1, and how many entries come after it.
    ///
    /// Source: `$JS.ACK.<stream>.<consumer>.<delivered>.<entry>.<delivery>.<time>.<pending>`, of NATS 2.9.
    fn place(&self) -> io::Result<(u64, u64)> {
        let mut words = self.reply.rsplit('.');
        let pending = words.next();
        let delivery = words.nth(1);
        let number = |word: Option<&str>| word.and_then(|it| it.parse().ok());
        number(delivery)
            .zip(number(pending))
            .ok_or_else(|| io::Error::other(format!("no place in the stream: {}", self.reply)))
    }
}

impl Wire {
    fn connect(addr: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&addr, WAIT)?;
        stream.set_read_timeout(Some(WAIT))?;
        let mut wire = Self {
            reader: BufReader::new(stream),
            early: VecDeque::new(),
        };
        let options = json!({"verbose": false, "headers": true, "lang": "rust", "version": "0"});
        wire.write(&format!("CONNECT {options}\r\n"))?;
        Ok(wire)
    }

    /// Has the stream sent from its first entry; returns how many entries there are.
    fn begin(&mut self, stream: &str) -> io::Result<u64> {
        let inbox = format!("_INBOX.{:016x}", fastrand::u64(..));
        self.write(&format!(
            "SUB {inbox}.answer {ANSWER}\r\nSUB {inbox}.entry {ENTRY}\r\n"
        ))?;
        let request = json!({
            "stream_name": stream,
            "config": {
                "deliver_subject": format!("{inbox}.entry"),
                "ack_policy": "none",
                "deliver_policy": "all",
                "replay_policy": "instant",
                "mem_storage": true,
                "num_replicas": 1,
            },
        })
        .to_string();
        let len = request.len();
        self.write(&format!(
            "PUB $JS.API.CONSUMER.CREATE.{stream} {inbox}.answer {len}\r\n{request}\r\n"
        ))?;
        let answer: Value = serde_json::from_slice(&self.next_of(ANSWER)?.payload)?;
        let pending = answer["num_pending"].as_u64();
        // What has been sent already is no longer pending.
        let early = self.early.len() as u64;
        pending
            .map(|pending| pending.max(early))
            .ok_or_else(|| io::Error::other(format!("no consumer: {answer}")))
    }

    /// Returns the next message of a subscription.
    fn next_of(&mut self, subscription: &str) -> io::Result<Arrived> {
        let is_asked_for = |it: &Arrived| it.subscription == subscription;
        if self.early.front().is_some_and(is_asked_for)
            && let Some(early) = self.early.pop_front()
        {
            return Ok(early);
        }
        loop {
            let arrived = self.next()?;
            if is_asked_for(&arrived) {
                return Ok(arrived);
            }
            self.early.push_back(arrived);
        }
    }

    /// Returns the next message.
    fn next(&mut self) -> io::Result<Arrived> {
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            let (subscription, reply, header_len, len) = match *words {
                ["PING"] => {
                    self.write("PONG\r\n")?;
                    continue;
                }
                ["MSG", _, subscription, len] => (subscription, "", "0", len),
                ["MSG", _, subscription, reply, len] => (subscription, reply, "0", len),
                ["HMSG", _, subscription, header_len, len] => (subscription, "", header_len, len),
                ["HMSG", _, subscription, reply, header_len, len] => {
                    (subscription, reply, header_len, len)
                }
                ["-ERR", ..] => return Err(io::Error::other(line)),
                _ => continue,
            };
            return Ok(Arrived {
                subscription: subscription.to_owned(),
                reply: reply.to_owned(),
                payload: self.take_payload(number(header_len)?, number(len)?)?,
            });
        }
    }

    /// Reads `len` bytes and the end of the line, and leaves out what is before the payload.
    fn take_payload(&mut self, header_len: usize, len: usize) -> io::Result<Vec<u8>> {
        let mut payload = vec![0; len + 2];
        self.reader.read_exact(&mut payload)?;
        payload.truncate(len);
        payload.drain(..header_len.min(len));
        Ok(payload)
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.reader.get_mut().write_all(text.as_bytes())
    }
}

fn number(word: &str) -> io::Result<usize> {
    let number: usize = word.parse().map_err(io::Error::other)?;
    match number {
        0..=PAYLOAD_LEN_MAX => Ok(number),
        _ => Err(ErrorKind::InvalidData.into()),
    }
}

/// The subscription to the answer, and that to the entries.
const ANSWER: &str = "1";
const ENTRY: &str = "2";

/// How long a payload may be. Source: the default of NATS is 1 MiB.
const PAYLOAD_LEN_MAX: usize = 2 << 20;
