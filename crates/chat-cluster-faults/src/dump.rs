//! All that stands in a stream, as a witness that is none of the chat servers.

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
    let failed = |source| ClusterError::Io {
        what: "reading the stream",
        source,
    };
    let mut wire = Wire::connect(addr).map_err(failed)?;
    let (mut dump, mut filter) = (Dump::default(), Filter::new());
    let count = wire.begin(stream).map_err(failed)?;
    for _ in 0..count {
        let payload = wire.next_payload().map_err(failed)?;
        dump.entry_count += 1;
        match Envelope::parse(&payload) {
            Ok(Envelope::Open(header)) => {
                dump.skipped_count += u64::from(filter.admit(&header).is_err());
            }
            Ok(Envelope::Batch(header, messages)) => {
                if filter.admit(&header).is_ok() {
                    let bodies = messages.iter().map(|body| body.as_bytes().to_vec());
                    dump.bodies.extend(bodies);
                } else {
                    dump.skipped_count += 1;
                }
            }
            Ok(_) => {}
            Err(error) => return Err(ClusterError::Stream(error.to_string())),
        }
    }
    Ok(dump)
}

/// A connection to NATS.
struct Wire {
    reader: BufReader<TcpStream>,
}

impl Wire {
    fn connect(addr: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&addr, WAIT)?;
        stream.set_read_timeout(Some(WAIT))?;
        let mut wire = Self {
            reader: BufReader::new(stream),
        };
        wire.write(
            "CONNECT {\"verbose\":false,\"headers\":true,\"lang\":\"test\",\"version\":\"1\"}\r\n",
        )?;
        Ok(wire)
    }

    /// Has the stream sent from its first entry; returns how many entries there are.
    fn begin(&mut self, stream: &str) -> io::Result<u64> {
        let inbox = format!("_INBOX.{:016x}", fastrand::u64(..));
        self.write(&format!(
            "SUB {inbox}.answer 1\r\nUNSUB 1 1\r\nSUB {inbox}.entry 2\r\n"
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
        // Entries may come before the answer; none is before it on 2.9, which starts them after.
        let answer: Value = serde_json::from_slice(&self.next_payload()?)?;
        let pending = answer["num_pending"].as_u64();
        let early = answer["delivered"]["consumer_seq"].as_u64().unwrap_or(0);
        pending
            .map(|pending| pending + early)
            .ok_or_else(|| io::Error::other(format!("no consumer: {answer}")))
    }

    /// Returns the payload of the next message.
    fn next_payload(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            match *words {
                ["PING"] => self.write("PONG\r\n")?,
                ["MSG", .., len] => return self.take_payload(0, number(len)?),
                ["HMSG", .., header_len, len] => {
                    return self.take_payload(number(header_len)?, number(len)?);
                }
                ["-ERR", ..] => return Err(io::Error::other(line)),
                _ => {}
            }
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

/// How long a payload may be. Source: the default of NATS is 1 MiB.
const PAYLOAD_LEN_MAX: usize = 2 << 20;
