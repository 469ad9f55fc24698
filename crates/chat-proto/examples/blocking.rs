//! A chat client with blocking sockets: one thread sends, the other prints the messages that
//! arrive.
//!
//! `cargo run -p chat-proto --all-features --example blocking -- 127.0.0.1:8080 hello world`

use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::{env, error::Error, ffi::OsString, process::ExitCode, thread};

use chat_proto::Body;
use chat_proto::blocking::{Reader, Writer};

fn main() -> ExitCode {
    let mut args = env::args_os().skip(1).map(OsString::into_encoded_bytes);
    let Some(Ok(address)) = args.next().map(String::from_utf8) else {
        eprintln!("usage: blocking ADDRESS MESSAGE...");
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
    let bodies: Vec<Body> = messages
        .iter()
        .map(|message| Body::new(message))
        .collect::<Result<_, _>>()?;
    let stream = TcpStream::connect(address)?;
    thread::scope(|scope| {
        let sending = scope.spawn(|| send(&stream, bodies));
        let received = receive(&stream, out);
        // Without a receiver, sending is of no use: this ends it even while it waits.
        let _ = stream.shutdown(Shutdown::Both);
        let sent = sending.join().expect("sending does not panic");
        Ok(received.and(sent)?)
    })
}

fn send(stream: &TcpStream, bodies: Vec<Body>) -> io::Result<()> {
    let mut writer = Writer::new(stream);
    for body in bodies {
        writer.feed(body)?;
    }
    writer.flush()?;
    // The server answers the end of this stream with the end of its own.
    stream.shutdown(Shutdown::Write)
}

fn receive(stream: &TcpStream, out: &mut impl Write) -> io::Result<()> {
    let mut reader = Reader::new(stream);
    while let Some(body) = reader.next_body()? {
        writeln!(out, "{}", String::from_utf8_lossy(body.as_bytes()))?;
    }
    Ok(())
}
