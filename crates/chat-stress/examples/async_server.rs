//! An async chat server, and a load on it in the same process.
//!
//! `cargo run -p chat-stress --example async_server` loads the server and prints what was found.
//! With an address, `cargo run -p chat-stress --example async_server -- 127.0.0.1:8080`, it is the
//! server alone, as an executable that load testers start.

use std::io::{self, Write};
use std::net::TcpListener;
use std::{env, error::Error};

use async_std::task;
use chat_hub::Hub;
use chat_session::Session;
use chat_stress::{Load, Pacing, Target, run};

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(addr) = env::args().nth(1) {
        let listener = TcpListener::bind(addr)?;
        writeln!(io::stdout(), "listening on {}", listener.local_addr()?)?;
        io::stdout().flush()?;
        return Ok(serve(listener)?);
    }
    let load = Load {
        publishers: 4,
        messages: Some(10_000),
        pacing: Pacing::window(100),
        ..Load::default()
    };
    let measured = run(Target::serve(serve)?, load)?;
    measured.assert_proved();
    let results = measured.results;
    println!(
        "{:.0} deliveries a second, {} dropped, order {}",
        results.counts.deliveries_per_s,
        results.drops.dropped,
        results.order.word()
    );
    Ok(())
}

/// Serves every client that connects, for ever.
pub(crate) fn serve(listener: TcpListener) -> io::Result<()> {
    let listener = async_std::net::TcpListener::from(listener);
    let hub = Hub::default();
    task::block_on(async {
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            task::spawn(Session::new(stream, &hub));
        }
    })
}
