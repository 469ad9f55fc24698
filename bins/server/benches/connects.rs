//! How long it takes until thousands of clients that connect at the same instant are all served.
//!
//! A round starts a server, lets all clients begin to connect before any of them is waited for, and
//! then has each say a word and wait until a word comes. Every word goes to all that are there, so
//! the server has that to do as well.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};

fn connect_at_once(criterion: &mut Criterion) {
    let limit = raise_open_files();
    let mut group = criterion.benchmark_group("connect_at_once");
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    for client_count in CLIENT_COUNTS {
        if limit < client_count + DESCRIPTORS_RESERVED {
            println!("{client_count} clients: skipped, the limit on open files is {limit}");
            continue;
        }
        group.throughput(Throughput::Elements(client_count));
        group.bench_function(format!("{client_count}_clients"), |bencher| {
            bencher.iter_custom(|round_count| (0..round_count).map(|_| round(client_count)).sum());
        });
    }
}

/// Returns the time from the first connect to the last client's first word.
fn round(client_count: u64) -> Duration {
    let server = Server::start();
    let start = Instant::now();
    let clients: Vec<_> = (0..client_count)
        .map(|_| begin_to_connect(server.address))
        .collect();
    let mut clients: Vec<_> = clients.into_iter().map(TcpStream::from).collect();
    for client in &mut clients {
        client.set_nonblocking(false).unwrap();
        client.write_all(b"\x05hello").unwrap();
    }
    for client in &mut clients {
        client.read_exact(&mut [0; 6]).unwrap();
    }
    start.elapsed()
}

fn begin_to_connect(address: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_nonblocking(true).unwrap();
    // It is under way, so this is an error.
    let _ = socket.connect(&address.into());
    socket
}

/// A server that is killed when it goes out of scope.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_chat-server"))
            .arg("127.0.0.1:0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = child.stdout.as_mut().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on ").unwrap();
        Self {
            address: address.parse().unwrap(),
            child,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Raises the limit on open files as far as it goes, and returns it.
fn raise_open_files() -> u64 {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let current = maximum;
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();
    maximum.unwrap_or(u64::MAX)
}

const CLIENT_COUNTS: [u64; 2] = [1000, 5000];

/// How many descriptors there are beside the clients'.
const DESCRIPTORS_RESERVED: u64 = 64;

criterion_group!(benches, connect_at_once);
criterion_main!(benches);
