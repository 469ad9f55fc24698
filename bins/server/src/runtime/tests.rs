use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, Once};
use std::time::{Duration, Instant};

use async_std::net::TcpStream as AsyncTcpStream;
use chat_hub::Hub;
use chat_session::Session;
use futures::executor::block_on as block_on_here;
use tracing_subscriber::fmt::MakeWriter;

use super::*;
use crate::clients::Clients;
use crate::logging::log_panic;
use crate::socket::Socket;

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// Starts the threads of all tests.
fn start_once() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| start().unwrap());
}

/// Has one thread do nothing else until what is returned is dropped.
pub(crate) fn stick() -> Sender<()> {
    start_once();
    let (release, released) = mpsc::channel();
    let (begun, has_begun) = mpsc::channel();
    let task = spawn(async move {
        begun.send(()).unwrap();
        let _: Result<(), _> = released.recv();
    });
    task.detach();
    has_begun.recv_timeout(DEADLINE).unwrap();
    release
}

#[test]
fn a_thread_whose_task_does_not_end_is_found() {
    let release = stick();
    let before = Places::look();
    assert!(Places::look().is_any_stuck_since(&before));
    drop(release);
    // Threads that wait are not stuck.
    let start = Instant::now();
    loop {
        let now = Places::look();
        if now == before {
            assert!(start.elapsed() < DEADLINE);
            thread::sleep(Duration::from_millis(1));
        } else if !Places::look().is_any_stuck_since(&now) {
            break;
        }
    }
}

#[test]
fn a_round_that_ends_in_a_panic_does_not_hide_the_next() {
    let rounds = Rounds::default();
    rounds.begin();
    rounds.begin();
    let at = |rounds: &Rounds| Places(vec![rounds.count()]);
    assert!(at(&rounds).is_any_stuck_since(&at(&rounds)));
    rounds.end();
    assert!(!at(&rounds).is_any_stuck_since(&at(&rounds)));
}

/// A log in memory, shared by its clones.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Returns the two ends of a connection.
fn connect(listener: &TcpListener) -> (TcpStream, AsyncTcpStream) {
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    (client, listener.accept().unwrap().0.into())
}

#[test]
fn a_session_that_panics_ends_alone_and_leaves_nothing_behind() {
    let listener = TcpListener::bind((LOCALHOST, 0)).unwrap();
    let (clients, hub) = (Clients::default(), Hub::default());
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        log_panic(panic);
        print(panic);
    }));
    let (mut good, stream) = connect(&listener);
    let session = Session::new(Socket::new(stream), &hub);
    let entry = clients.add(Some(LOCALHOST));
    let serving = spawn(async move {
        let _entry = entry;
        session.await.map_err(drop)
    });
    let (mut bad, stream) = connect(&listener);
    let (session, entry) = (
        Session::new(Socket::new(stream), &hub),
        clients.add(Some(LOCALHOST)),
    );
    let held = (session, entry);
    spawn(async move {
        let _held = held;
        panic!("as if there were a bug");
    })
    .detach();

    start_once();
    // Its connection is closed, and it is no client any more.
    assert_eq!(bad.read(&mut [0]).unwrap(), 0);
    good.write_all(b"\x05hello").unwrap();
    let mut received = [0; 6];
    good.read_exact(&mut received).unwrap();
    assert_eq!(&received, b"\x05hello");
    // The rest of it may be dropped after its connection.
    let start = Instant::now();
    while (clients.count(), hub.stats().subscriber_count) != (1, 1) {
        assert!(start.elapsed() < DEADLINE);
        thread::sleep(Duration::from_millis(1));
    }
    good.shutdown(Shutdown::Write).unwrap();
    assert!(block_on_here(serving).is_ok());
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert_eq!(log.matches("as if there were a bug").count(), 1, "{log}");
    assert!(
        log.contains("ERROR") && log.contains("runtime/tests.rs"),
        "{log}"
    );
}
