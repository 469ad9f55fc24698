//! What a server of NATS tells of its streams.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// A stream as one of its servers sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamStatus {
    /// The name of the server that leads it, if that is known.
    pub leader: Option<String>,
    /// The sequence of its last entry.
    pub last: u64,
    /// How many other servers keep it, and are not behind, as the leader sees it.
    pub current_replica_count: usize,
    /// How many entries there are.
    pub entry_count: u64,
    /// How many are missing between the first and the last.
    pub deleted_count: u64,
}

/// Asks the server that is monitored at `addr` for a stream.
pub(crate) fn stream(addr: SocketAddr, name: &str) -> io::Result<Option<StreamStatus>> {
    let text = fetch(addr, "/jsz?accounts=1&streams=1")?;
    let answer: Value = serde_json::from_str(&text)?;
    let accounts = answer["account_details"].as_array().into_iter().flatten();
    let mut streams = accounts.flat_map(|it| it["stream_detail"].as_array().into_iter().flatten());
    Ok(streams.find(|it| it["name"] == name).map(|stream| {
        let cluster = &stream["cluster"];
        let replicas = cluster["replicas"].as_array().into_iter().flatten();
        let current = replicas.filter(|it| it["current"] == true && it["offline"] != true);
        StreamStatus {
            leader: cluster["leader"]
                .as_str()
                .filter(|it| !it.is_empty())
                .map(str::to_owned),
            last: stream["state"]["last_seq"].as_u64().unwrap_or(0),
            current_replica_count: current.count(),
            entry_count: stream["state"]["messages"].as_u64().unwrap_or(0),
            deleted_count: stream["state"]["num_deleted"].as_u64().unwrap_or(0),
        }
    }))
}

/// Tells whether a server says that it is well.
pub(crate) fn is_healthy(addr: SocketAddr) -> bool {
    fetch(addr, "/healthz").is_ok_and(|text| text.contains("\"ok\""))
}

/// Tells whether a chat server says that it is ready. One that says nothing is not.
pub(crate) fn is_ready(addr: SocketAddr) -> bool {
    fetch(addr, "/readyz").is_ok_and(|text| text.trim() == "ready")
}

/// Gets a page.
fn fetch(addr: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&addr, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    write!(
        stream,
        "GET {path} HTTP/1.0\r\nHost: {addr}\r\nConnection: close\r\n\r\n"
    )?;
    let mut text = String::new();
    stream.take(ANSWER_LEN_MAX).read_to_string(&mut text)?;
    let (_, body) = text
        .split_once("\r\n\r\n")
        .ok_or(io::ErrorKind::InvalidData)?;
    Ok(body.to_owned())
}

/// How long an answer may take. A judgement: what is frozen does not answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// How long an answer may be.
const ANSWER_LEN_MAX: u64 = 1 << 20;
