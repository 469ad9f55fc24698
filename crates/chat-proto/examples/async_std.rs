//! A chat client on async-std: two futures share the stream. One sends, the other prints the
//! messages that arrive.
//!
//! `cargo run -p chat-proto --all-features --example async_std -- 127.0.0.1:8080 hello world`

use std::io::{self, Write};
use std::{env, error::Error, ffi::OsString, net::Shutdown, process::ExitCode};

use async_std::{net::TcpStream, task};
use chat_proto::Body;
use chat_proto::futures_io::{Reader, Writer};
use futures::{SinkExt, TryStreamExt, future::try_join};

fn main() -> ExitCode {
    let mut args = env::args_os().skip(1).map(OsString::into_encoded_bytes);
    let Some(Ok(address)) = args.next().map(String::from_utf8) else {
        eprintln!("usage: async_std ADDRESS MESSAGE...");
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
    task::block_on(async {
        let stream = TcpStream::connect(address).await?;
        try_join(send(&stream, bodies), receive(&stream, out)).await?;
        Ok(())
    })
}

async fn send(stream: &TcpStream, bodies: Vec<Body<'_>>) -> io::Result<()> {
    let mut writer = Writer::new(stream);
    for body in bodies {
        writer.feed(body).await?;
    }
    writer.flush().await?;
    // Closing the writer would not do this: async-std does nothing to a stream that is closed.
    stream.shutdown(Shutdown::Write)
}

async fn receive(stream: &TcpStream, out: &mut impl Write) -> io::Result<()> {
    let mut reader = Reader::new(stream);
    while let Some(body) = reader.try_next().await? {
        writeln!(out, "{}", String::from_utf8_lossy(body.as_bytes()))?;
    }
    Ok(())
}
