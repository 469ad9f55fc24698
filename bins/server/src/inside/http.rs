//! A strict and small HTTP server: it answers GET and HEAD, one request for each connection.
//!
//! Connections, their time and the length of what they send are bounded.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::view::View;
use super::{CONNECTIONS_MAX, answer_all, metrics};

/// Answers whoever connects, on threads of its own.
pub(super) fn serve(listener: TcpListener, view: View) -> io::Result<()> {
    let places = Arc::new(());
    let accept = move || {
        let (stream, _) = listener.accept()?;
        // Each has so little time that a place is soon free again.
        let has_place = Arc::strong_count(&places) <= CONNECTIONS_MAX;
        Ok(has_place.then(|| (stream, Arc::clone(&places))))
    };
    answer_all("metrics", accept, view, |(stream, _place), view| {
        converse(&stream, view)
    })
}

/// What is answered.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: &'static str,
    kind: &'static str,
    body: String,
}

impl Answer {
    fn text(status: &'static str, body: &str) -> Self {
        Self {
            status,
            kind: "text/plain; charset=utf-8",
            body: format!("{body}\n"),
        }
    }
}

/// Reads a request, answers it and closes.
fn converse(stream: &TcpStream, view: &View) -> io::Result<()> {
    let mut stream = Limited {
        stream,
        deadline: Instant::now() + TIMEOUT,
    };
    let mut head = Vec::new();
    let (answer, has_body) = loop {
        match request(&head) {
            Ok(None) if head.len() < HEAD_LEN_MAX => {}
            Ok(None) => break (Answer::text(TOO_LARGE, "the head is too long"), true),
            Ok(Some(request)) => break (answer(&request.path, view), request.wants_body),
            Err(refusal) => break (refusal, true),
        }
        let mut buf = [0; 1024];
        match stream.read(&mut buf)? {
            0 => return Ok(()),
            len => head.extend_from_slice(&buf[..len]),
        }
    };
    let Answer { status, kind, body } = answer;
    let allow = if status == NOT_ALLOWED {
        "Allow: GET, HEAD\r\n"
    } else {
        ""
    };
    let mut reply = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n{allow}\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n",
        body.len()
    );
    if has_body {
        reply += &body;
    }
    stream.write_all(reply.as_bytes())?;
    stream.stream.shutdown(Shutdown::Write)?;
    // Closing before everything is read would make the system throw away the answer.
    let mut buf = [0; 1024];
    for _ in 0..DISCARDS_MAX {
        if stream.read(&mut buf)? == 0 {
            break;
        }
    }
    Ok(())
}

/// A request that makes sense.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    path: String,
    wants_body: bool,
}

/// Reads the head of a request; `None` when it has not all come.
fn request(head: &[u8]) -> Result<Option<Request>, Answer> {
    let bad = |why: &str| Answer::text(BAD_REQUEST, why);
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut headers);
    match parsed.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Answer::text(TOO_LARGE, "there are too many headers"));
        }
        Err(error) => return Err(bad(&format!("this is no request: {error}"))),
    }
    let count = |name: &str| {
        let named = |header: &&httparse::Header<'_>| header.name.eq_ignore_ascii_case(name);
        parsed.headers.iter().filter(named).count()
    };
    let host_count = count("host");
    if host_count > 1 || (host_count == 0 && parsed.version == Some(1)) {
        return Err(bad("a request has one Host"));
    }
    if count("content-length") + count("transfer-encoding") > 0 {
        return Err(bad("a request has no body here"));
    }
    let wants_body = match parsed.method {
        Some("GET") => true,
        Some("HEAD") => false,
        _ => return Err(Answer::text(NOT_ALLOWED, "only GET and HEAD are answered")),
    };
    let target = parsed.path.unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default();
    Ok(Some(Request {
        path: path.to_owned(),
        wants_body,
    }))
}

fn answer(path: &str, view: &View) -> Answer {
    match path {
        "/metrics" => match metrics::encode(view) {
            Ok(body) => Answer {
                status: OK,
                kind: "application/openmetrics-text; version=1.0.0; charset=utf-8",
                body,
            },
            Err(error) => Answer::text(INTERNAL_ERROR, &format!("cannot encode: {error}")),
        },
        "/healthz" if view.is_alive() => Answer::text(OK, "alive"),
        "/healthz" => Answer::text(UNAVAILABLE, "clients have no turns"),
        "/readyz" if view.is_ending() => Answer::text(UNAVAILABLE, "ending"),
        "/readyz" => match view.cluster_trouble() {
            Some(trouble) => Answer::text(UNAVAILABLE, &trouble),
            None => Answer::text(OK, "ready"),
        },
        _ => Answer::text(NOT_FOUND, "there are /metrics, /healthz and /readyz"),
    }
}

/// A connection that has only so much time, whatever it does with it.
struct Limited<'a> {
    stream: &'a TcpStream,
    deadline: Instant,
}

impl Limited<'_> {
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(Some(left))
    }
}

impl Read for Limited<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(buf)
    }
}

impl Write for Limited<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

const OK: &str = "200 OK";
const BAD_REQUEST: &str = "400 Bad Request";
const NOT_FOUND: &str = "404 Not Found";
const NOT_ALLOWED: &str = "405 Method Not Allowed";
const TOO_LARGE: &str = "431 Request Header Fields Too Large";
const INTERNAL_ERROR: &str = "500 Internal Server Error";
const UNAVAILABLE: &str = "503 Service Unavailable";

/// How many bytes the head of a request may have. A judgement: those of monitoring systems have some
/// hundreds.
const HEAD_LEN_MAX: usize = 8 * 1024;

const HEADERS_MAX: usize = 64;

/// How long a connection may last. A judgement.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How many reads throw away what a client sends after its request.
const DISCARDS_MAX: usize = 16;
