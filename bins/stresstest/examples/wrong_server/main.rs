//! A broadcast server for the tests: honest unless it is told which fault to have.
//!
//! A thread a client reads, another writes, and one lock decides the order. Clients are numbered in
//! the order in which they connect, and the load tester connects its publishers first. The server
//! knows where in a body the load tester says that it is load, because its faults are meant for
//! load.

mod fault;
mod hub;
mod message;
mod outbox;

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use chat_proto::Messages;
use clap::Parser;
use rustix::net::{AddressFamily, SocketType};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::fault::Fault;
use crate::hub::Hub;
use crate::outbox::Outbox;

#[derive(Parser)]
struct Args {
    fault: Fault,
    /// Client that a fault strikes which is meant for one client
    #[arg(long, default_value_t = 2)]
    victim: usize,
    /// How much later than the others the victim receives everything, in milliseconds
    #[arg(long, default_value_t = 50)]
    delay_ms: u64,
    /// File by which servers stand for one: the first to make it serves, and writes its address there;
    /// the others name that address as theirs
    #[arg(long)]
    room: Option<PathBuf>,
    addr: SocketAddr,
}

fn main() {
    let args = Args::parse();
    if let Ok(path) = std::env::var("WRONG_SERVER_PID_FILE") {
        std::fs::write(path, std::process::id().to_string()).unwrap();
    }
    match args.fault {
        Fault::ExitAtOnce => {
            println!("not yet");
            eprintln!("no licence to chat");
            std::process::exit(9);
        }
        Fault::NeverReady => {
            println!("listening soon");
            loop {
                thread::park();
            }
        }
        Fault::Escape => {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["honest", &args.addr.to_string()])
                .env_remove("WRONG_SERVER_PID_FILE")
                .process_group(0)
                .spawn()
                .unwrap();
            std::fs::write(
                std::env::var("WRONG_SERVER_ESCAPED_FILE").unwrap(),
                child.id().to_string(),
            )
            .unwrap();
            child.wait().unwrap();
        }
        Fault::DeadPort => {
            // Nobody else gets the port as long as it is bound.
            let bound = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
            rustix::net::bind(&bound, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
            println!(
                "listening on {}",
                SocketAddr::try_from(rustix::net::getsockname(&bound).unwrap()).unwrap()
            );
            loop {
                thread::park();
            }
        }
        Fault::Duplicate => eprintln!("it is wrong on purpose: duplicate"),
        Fault::NoAddress => println!("listening on everything"),
        Fault::Talkative => println!("good morning"),
        Fault::Stubborn => {
            signal_hook::flag::register(SIGTERM, Arc::new(AtomicBool::new(false))).unwrap();
            let mut child = Command::new("sleep").arg("600").spawn().unwrap();
            thread::spawn(move || child.wait());
        }
        _ => {}
    }
    serve(&args);
}

fn serve(args: &Args) {
    let listener = TcpListener::bind(args.addr).unwrap();
    let hub = Arc::new(Mutex::new(Hub::new(
        args.fault,
        args.victim,
        Duration::from_millis(args.delay_ms),
    )));
    match args.fault {
        Fault::Stubborn | Fault::DieOfTerm => {}
        Fault::ExitNonZero => end_on_signals(&hub, 4),
        _ => end_on_signals(&hub, 0),
    }
    match &args.room {
        Some(room) => println!("listening on {}", enter(room, &listener)),
        None => println!("listening on {}", listener.local_addr().unwrap()),
    }
    if args.fault == Fault::FloodStderr {
        let hub = Arc::clone(&hub);
        thread::spawn(move || flood_stderr(&hub));
    }
    for stream in listener.incoming() {
        // Without a descriptor there is nothing to do but wait until somebody leaves.
        let Ok((stream, clone)) = stream.and_then(|stream| Ok((stream.try_clone()?, stream)))
        else {
            thread::sleep(ACCEPT_PAUSE);
            continue;
        };
        stream.set_nodelay(true).unwrap();
        let hub = Arc::clone(&hub);
        let client = hub.lock().unwrap().join(clone);
        match args.fault {
            Fault::Relay => thread::spawn(move || relay(client, stream, &hub, READ_LEN)),
            Fault::RelayPieces => thread::spawn(move || relay(client, stream, &hub, PIECE_LEN)),
            fault => thread::spawn(move || receive(fault, client, stream, &hub)),
        };
    }
}

/// Has the first of the servers that share a room be it, and returns its address.
fn enter(room: &Path, listener: &TcpListener) -> String {
    match File::create_new(room) {
        Ok(mut file) => {
            let addr = listener.local_addr().unwrap();
            writeln!(file, "{addr}").unwrap();
            addr.to_string()
        }
        Err(_) => loop {
            let line = std::fs::read_to_string(room).unwrap();
            if let Some(addr) = line.strip_suffix('\n') {
                return addr.to_owned();
            }
            thread::sleep(ACCEPT_PAUSE);
        },
    }
}

/// Ends the process at a signal, when what is queued is written or takes too long. A second signal
/// ends it at once.
fn end_on_signals(hub: &Arc<Mutex<Hub>>, code: i32) {
    let (mut signals, hub) = (Signals::new([SIGINT, SIGTERM]).unwrap(), Arc::clone(hub));
    thread::spawn(move || {
        signals.forever().next();
        thread::spawn(move || {
            // Whoever has the lock publishes nothing any more.
            let mut hub = hub.lock().unwrap();
            hub.close().into_iter().for_each(Outbox::finish);
            std::process::exit(code);
        });
        thread::spawn(move || {
            thread::sleep(END_TIMEOUT);
            std::process::exit(code);
        });
        signals.forever().next();
        std::process::exit(1);
    });
}

/// Publishes what a client sends, until it sends no more.
fn receive(fault: Fault, client: usize, mut stream: TcpStream, hub: &Arc<Mutex<Hub>>) {
    let mut buf = vec![0; READ_LEN];
    let mut bytes = Vec::new();
    while let Ok(len @ 1..) = stream.read(&mut buf) {
        bytes.extend_from_slice(&buf[..len]);
        let (messages, rest) = Messages::split(&bytes);
        let is_load =
            |body: chat_proto::Body<'_>| message::kind(body.as_bytes()) == Some(message::LOAD);
        if fault == Fault::JobPerMessage && messages.iter().all(is_load) {
            publish_in_jobs(client, messages, hub);
        } else {
            let mut hub = hub.lock().unwrap();
            for body in messages.iter() {
                hub.publish(client, body.as_bytes());
            }
        }
        let rest_len = rest.len();
        bytes.drain(..bytes.len() - rest_len);
        if fault == Fault::LoseHeader && rest_len == 1 {
            bytes.clear();
        }
    }
    let mut hub = hub.lock().unwrap();
    hub.forward_rest(&bytes);
    hub.leave(client);
}

/// Publishes messages side by side.
fn publish_in_jobs(client: usize, messages: Messages<'_>, hub: &Mutex<Hub>) {
    thread::scope(|scope| {
        for body in messages.iter() {
            scope.spawn(move || hub.lock().unwrap().publish(client, body.as_bytes()));
        }
    });
}

/// Forwards what a client sends as it comes, until it sends no more.
fn relay(client: usize, mut stream: TcpStream, hub: &Mutex<Hub>, len_max: usize) {
    let mut buf = vec![0; len_max];
    while let Ok(len @ 1..) = stream.read(&mut buf) {
        hub.lock().unwrap().forward(&buf[..len]);
    }
    hub.lock().unwrap().leave(client);
}

/// Writes to standard error for ever. The lock is what makes a server that cannot write its log
/// come to a halt.
fn flood_stderr(hub: &Mutex<Hub>) {
    let lines = format!("{:099}\n", 0).repeat(FLOOD_LEN / 100);
    loop {
        {
            let _hub = hub.lock().unwrap();
            std::io::stderr().write_all(lines.as_bytes()).unwrap();
        }
        thread::sleep(FLOOD_INTERVAL);
    }
}

/// How many bytes to write to standard error at a time. A judgement: four times what fits into a
/// pipe.
const FLOOD_LEN: usize = 256 << 10;

/// How long to wait before writing them again.
const FLOOD_INTERVAL: Duration = Duration::from_millis(100);

/// How many bytes to read at a time. A judgement: some hundred messages under one lock.
const READ_LEN: usize = 16 << 10;

/// How many to forward at a time in pieces.
const PIECE_LEN: usize = 256;

/// How long to wait before accepting again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// How long clients have to take what is queued for them. A judgement: less than the load tester
/// gives the server.
const END_TIMEOUT: Duration = Duration::from_secs(1);
