//! A chat client on tokio: `Codec` frames both halves of the stream. One sends, the other prints
//! the messages that arrive.
//!
//! `cargo run -p chat-proto --all-features --example tokio -- 127.0.0.1:8080 hello world`

use std::io::{self, Write};
use std::{env, error::Error, ffi::OsString, process::ExitCode};

use chat_proto::{Body, Codec};
use futures::{SinkExt, TryStreamExt, future::try_join};
use tokio::net::{TcpStream, tcp};
use tokio::runtime;
use tokio_util::codec::{FramedRead, FramedWrite};

fn main() -> ExitCode {
    let mut args = env::args_os().skip(1).map(OsString::into_encoded_bytes);
    let Some(Ok(address)) = args.next().map(String::from_utf8) else {
        eprintln!("usage: tokio ADDRESS MESSAGE...");
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
    runtime::Builder::new_current_thread()
        .enable_io()
        .build()?
        .block_on(async {
            let mut stream = TcpStream::connect(address).await?;
            let (read_half, write_half) = stream.split();
            try_join(send(write_half, bodies), receive(read_half, out)).await?;
            Ok(())
        })
}

async fn send(stream: tcp::WriteHalf<'_>, bodies: Vec<Body<'_>>) -> io::Result<()> {
    let mut writer = FramedWrite::new(stream, Codec);
    for body in bodies {
        writer.feed(body).await?;
    }
    // Flushes, then ends the sending side. The server answers with the end of its own stream.
    writer.close().await
}

async fn receive(stream: tcp::ReadHalf<'_>, out: &mut impl Write) -> io::Result<()> {
    let mut reader = FramedRead::new(stream, Codec);
    while let Some(body) = reader.try_next().await? {
        writeln!(out, "{}", String::from_utf8_lossy(body.as_bytes()))?;
    }
    Ok(())
}
