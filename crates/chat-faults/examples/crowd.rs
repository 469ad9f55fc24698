//! Connects very many clients at once, and has one broadcast reach all of them.
//!
//! ```text
//! cargo build --release -p chat-server
//! cargo run --release -p chat-faults --example crowd -- target/release/chat-server 15000
//! ```
//!
//! Prints times and memory. Server and clients need a descriptor each: `ulimit -Hn` must be a
//! little more than the number of clients.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use chat_faults::{Crowd, Target, socket_memory};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let server = args
        .next()
        .ok_or("the first argument is the server's executable")?;
    let count = args.next().map_or(Ok(15_000), |count| count.parse())?;
    chat_target::raise_descriptor_limit();
    let server = Target::start(Path::new(&server), &[])?;
    let descriptor_count = server.descriptor_count()?;
    let before = (server.rss_kib()?, socket_memory().unwrap_or(0));

    let start = Instant::now();
    let crowd = Crowd::gather(server.addr(), count, None)?;
    println!(
        "{count} clients have connected after {:.2?}",
        start.elapsed()
    );
    let unmet = crowd.settle()?;
    println!("all but {unmet} are served after {:.2?}", start.elapsed());

    let start = Instant::now();
    let missing = crowd.broadcast(count - 1, b"is everybody there?")?;
    println!(
        "one message reached all but {missing} of them in {:.2?}",
        start.elapsed()
    );
    let grown = server.rss_peak_kib()?.saturating_sub(before.0);
    println!(
        "the server took {grown} KiB for them, {} bytes each",
        grown * 1024 / count as u64
    );
    let held = socket_memory().unwrap_or(0).saturating_sub(before.1);
    println!("the system holds {} KiB in their sockets", held / 1024);

    let start = Instant::now();
    drop(crowd);
    let open = server.wait_for_descriptors(descriptor_count)?;
    println!(
        "all had left after {:.2?}; {open} descriptors are open",
        start.elapsed()
    );
    println!(
        "the server has {} KiB now, {} at first",
        server.rss_kib()?,
        before.0
    );
    if unmet + missing > 0 || open != descriptor_count {
        return Err("not everybody was served and let go".into());
    }
    Ok(())
}
