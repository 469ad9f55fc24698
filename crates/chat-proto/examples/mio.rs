//! A chat client on mio: one thread writes and reads by turns. It waits when the stream is ready
//! for neither.
//!
//! `cargo run -p chat-proto --all-features --example mio -- 127.0.0.1:8080 hello world`

use std::io::{self, ErrorKind::Interrupted, ErrorKind::WouldBlock, Read, Write};
use std::{env, error::Error, ffi::OsString, net::Shutdown, process::ExitCode};

use chat_proto::{Body, Decoder, Encoder};
use mio::{Events, Interest, Poll, Token, net::TcpStream};

fn main() -> ExitCode {
    let mut args = env::args_os().skip(1).map(OsString::into_encoded_bytes);
    let Some(Ok(address)) = args.next().map(String::from_utf8) else {
        eprintln!("usage: mio ADDRESS MESSAGE...");
        return ExitCode::from(2);
    };
    let Err(error) = chat(
        &address,
        &args.collect::<Vec<_>>(),
        &mut io::stdout().lock(),
    ) else {
        return ExitCode::SUCCESS;
    };
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

/// Sends the messages, and prints those that arrive until the server closes.
pub(crate) fn chat(
    address: &str,
    messages: &[Vec<u8>],
    out: &mut impl Write,
) -> Result<(), Box<dyn Error>> {
    let mut bodies = messages
        .iter()
        .map(|message| Body::new(message))
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .peekable();
    let stream = std::net::TcpStream::connect(address)?;
    stream.set_nonblocking(true)?;
    let mut stream = TcpStream::from_std(stream);
    let (mut poll, mut events, mut sending) = (Poll::new()?, Events::with_capacity(1), true);
    poll.registry().register(
        &mut stream,
        Token(0),
        Interest::READABLE | Interest::WRITABLE,
    )?;
    let (mut encoder, mut decoder) = (
        Encoder::with_buf(vec![0; 8192])?,
        Decoder::with_buf(vec![0; 8192])?,
    );
    loop {
        while let Some(body) = bodies.next_if(|_| encoder.has_room()) {
            encoder.push(body)?;
        }
        if sending && encoder.unsent().is_empty() {
            stream.shutdown(Shutdown::Write)?;
            sending = false;
        }
        let written = if sending {
            unless_blocked(stream.write(encoder.unsent()))?
        } else {
            None
        };
        encoder.advance(written.unwrap_or(0));
        let read = unless_blocked(stream.read(decoder.spare()))?;
        decoder.advance(read.unwrap_or(0));
        while let Some(body) = decoder.next_body() {
            writeln!(out, "{}", String::from_utf8_lossy(body.as_bytes()))?;
        }
        match (written, read) {
            (_, Some(0)) if sending => return Err("the server closed before all was sent".into()),
            (_, Some(0)) => return Ok(decoder.finish()?),
            // mio tells once that a stream became ready, so it may be waited for only when both
            // calls would block.
            (None, None) => _ = unless_blocked(poll.poll(&mut events, None))?,
            _ => {}
        }
    }
}

/// Returns `None` for a call that would have to wait or was interrupted: only `poll` waits.
fn unless_blocked<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    result.map(Some).or_else(|error| {
        if matches!(error.kind(), WouldBlock | Interrupted) {
            Ok(None)
        } else {
            Err(error)
        }
    })
}
