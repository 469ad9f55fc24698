use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use chat_faults::Target;
use chat_proto::blocking::Reader;
use rustix::process::{Pid, Signal, kill_process};

/// How long anything may take. Nothing here comes near it unless it hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Starts the server.
pub(crate) fn start(args: &[&str]) -> Target {
    Target::start(Path::new(env!("CARGO_BIN_EXE_chat-server")), args).unwrap()
}

/// Starts the server in a shell that has done something before.
pub(crate) fn start_limited(before: &str) -> Target {
    let script = format!("{before} && exec \"$0\" \"$@\"");
    let args = ["-c", &script, env!("CARGO_BIN_EXE_chat-server")];
    Target::start(Path::new("sh"), &args).unwrap()
}

/// Asserts that the server comes to have no more than `count` descriptors open, without those of
/// clients that have left.
///
/// A connection that waits to be accepted has none, so a client comes and leaves behind all others:
/// they are accepted in the order in which they connected.
#[track_caller]
pub(crate) fn assert_given_back(server: &Target, count: usize) {
    let mut last = Client::of(TcpStream::connect_timeout(&server.addr(), DEADLINE).unwrap()).stream;
    last.shutdown(Shutdown::Write).unwrap();
    last.read_to_end(&mut Vec::new()).unwrap();
    drop(last);
    let open = server.wait_for_descriptors(count).unwrap();
    assert_eq!(open, count, "descriptors");
}

/// Starts the server with this standard error, and waits until it tells its address.
pub(crate) fn spawn(args: &[&str], stderr: impl Into<Stdio>) -> (Child, SocketAddr) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_chat-server"))
        .arg("127.0.0.1:0")
        .args(args)
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    let addr = line.trim_end().strip_prefix("listening on ").unwrap();
    let addr = addr.parse().unwrap();
    (child, addr)
}

/// A server whose log is read at the end; it is killed when this goes out of scope.
pub(crate) struct Logged {
    child: Child,
    log: JoinHandle<String>,
    pub(crate) addr: SocketAddr,
}

impl Logged {
    /// Starts a server that logs what it closes.
    pub(crate) fn start(args: &[&str]) -> Self {
        let args = [&["--log=info"], args].concat();
        let (mut child, addr) = spawn(&args, Stdio::piped());
        let mut stderr = child.stderr.take().unwrap();
        let log = thread::spawn(move || {
            let mut log = String::new();
            stderr.read_to_string(&mut log).unwrap();
            log
        });
        Self { child, log, addr }
    }

    pub(crate) fn descriptor_count(&self) -> usize {
        let descriptors = fs::read_dir(format!("/proc/{}/fd", self.child.id()));
        descriptors.unwrap().count()
    }

    /// Waits until the server has so many descriptors open.
    #[track_caller]
    pub(crate) fn wait_for_descriptors(&self, count: usize) {
        let start = Instant::now();
        while self.descriptor_count() != count {
            let open = self.descriptor_count();
            assert!(
                start.elapsed() < DEADLINE,
                "{open} descriptors, not {count}"
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Tells the server to end; returns what it logged.
    #[track_caller]
    pub(crate) fn end(mut self) -> String {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
        let log = std::mem::replace(&mut self.log, thread::spawn(String::new));
        log.join().unwrap()
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns a message on the wire.
pub(crate) fn message(body: &[u8]) -> Vec<u8> {
    let mut message = vec![u8::try_from(body.len()).unwrap()];
    message.extend_from_slice(body);
    message
}

/// A client: blocking, with a deadline on everything.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    reader: Reader<TcpStream>,
}

impl Client {
    /// Makes a client of a connection.
    pub(crate) fn of(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let reader = Reader::new(stream.try_clone().unwrap());
        Self { stream, reader }
    }

    /// Connects a client and waits for its own echo, so that the server is known to serve it.
    pub(crate) fn join(addr: SocketAddr, hello: &[u8]) -> Self {
        let mut client = Self::of(TcpStream::connect_timeout(&addr, DEADLINE).unwrap());
        client.send(hello);
        while client.receive() != hello {}
        client
    }

    pub(crate) fn send(&mut self, body: &[u8]) {
        self.stream.write_all(&message(body)).unwrap();
    }

    /// Receives one message.
    #[track_caller]
    pub(crate) fn receive(&mut self) -> Vec<u8> {
        let body = self.reader.next_body().unwrap();
        body.expect("it is not closed").as_bytes().to_vec()
    }

    /// Sends a message and waits until it comes back; returns what came before it.
    #[track_caller]
    pub(crate) fn echo(&mut self, body: &[u8]) -> Vec<Vec<u8>> {
        self.send(body);
        std::iter::from_fn(|| Some(self.receive()).filter(|received| received != body)).collect()
    }
}
