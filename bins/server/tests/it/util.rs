use std::io::{BufRead, BufReader, ErrorKind, PipeReader, PipeWriter, Read, Write, pipe};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use chat_proto::{Body, MESSAGE_LEN_MAX, ReadError, blocking::Reader};
use rustix::io::ioctl_fionbio;
use rustix::process::{Pid, Signal, kill_process};

/// How long anything may take. Nothing here comes near it unless it hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A running server; it is killed when it goes out of scope.
pub(crate) struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts a server on a free port.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a server on a free port with more arguments.
    pub(crate) fn start_with(args: &[&str]) -> Self {
        let mut command = chat_server();
        command.arg("127.0.0.1:0").args(args);
        Self::spawn(command)
    }

    /// Starts a server on a free port in a shell that has done something before.
    pub(crate) fn spawn_limited(before: &str) -> Self {
        let mut command = Command::new("sh");
        let script = format!("{before} && exec \"$0\" 127.0.0.1:0");
        let server = env!("CARGO_BIN_EXE_chat-server");
        command.args(["-c", &script, server]).env_remove("RUST_LOG");
        Self::spawn(command)
    }

    /// Starts a server by a command of its own.
    pub(crate) fn spawn(mut command: Command) -> Self {
        command.stderr(Stdio::piped());
        Self::spawn_as_it_is(command)
    }

    /// Starts a server by a command that says where its log goes.
    pub(crate) fn spawn_as_it_is(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let address = read_address(&mut stdout);
        Self {
            child,
            stdout,
            address,
        }
    }

    /// Returns the next line that the server prints.
    pub(crate) fn next_line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line
    }

    /// Reads the ready line of one more address.
    pub(crate) fn next_address(&mut self) -> SocketAddr {
        read_address(&mut self.stdout)
    }

    /// Connects a client; the server knows it only once it has taken part.
    pub(crate) fn connect(&self) -> Client {
        Client::of(TcpStream::connect_timeout(&self.address, DEADLINE).unwrap())
    }

    /// Connects a client and waits for its own echo, so that the server is known to serve it.
    pub(crate) fn join(&self, hello: &[u8]) -> Client {
        let mut client = self.connect();
        client.send(hello);
        while client.receive() != hello {}
        client
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Sends a signal again and again until the server has ended; returns how it did.
    #[track_caller]
    pub(crate) fn signal_until_end(mut self, signal: Signal) -> ExitStatus {
        let start = Instant::now();
        loop {
            self.signal(signal);
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < DEADLINE, "the server does not end");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Has all of the signals come at the same moment, by stopping the server meanwhile.
    pub(crate) fn signal_at_once(&self, signals: &[Signal]) {
        self.signal(Signal::STOP);
        let path = format!("/proc/{}/stat", self.child.id());
        let is_stopped = || std::fs::read_to_string(&path).unwrap().contains(") T ");
        while !is_stopped() {
            thread::sleep(Duration::from_millis(1));
        }
        signals.iter().for_each(|&signal| self.signal(signal));
        self.signal(Signal::CONT);
    }

    /// Waits for the server to end by itself; returns how it did and what it printed since it was
    /// ready.
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        let status = wait_for_exit(&mut self.child);
        let mut printed = String::new();
        self.stdout.read_to_string(&mut printed).unwrap();
        (status, printed)
    }

    /// Ends the server; returns what it logged.
    pub(crate) fn end(mut self) -> String {
        self.signal(Signal::TERM);
        let mut log = String::new();
        self.child
            .stderr
            .as_mut()
            .unwrap()
            .read_to_string(&mut log)
            .unwrap();
        assert!(self.child.wait().unwrap().success());
        log
    }

    /// Returns the lines of the log as they come, for as long as each comes in time.
    pub(crate) fn log_lines(&mut self) -> impl Iterator<Item = String> + use<> {
        let stderr = BufReader::new(self.child.stderr.take().unwrap());
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            for line in stderr.lines() {
                let _ = sender.send(line.unwrap());
            }
        });
        std::iter::from_fn(move || receiver.recv_timeout(DEADLINE).ok())
    }

    /// Asserts that the server still runs and serves.
    #[track_caller]
    pub(crate) fn assert_serves(&mut self) {
        assert_eq!(self.child.try_wait().unwrap(), None, "the server has ended");
        self.join(b"are you there?");
    }

    /// How much processor time the server has used.
    pub(crate) fn cpu_time(&self) -> Duration {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let of_task = |path: PathBuf| {
            std::fs::read_to_string(path.join("schedstat"))
                .ok()?
                .split(' ')
                .next()?
                .parse::<u64>()
                .ok()
        };
        Duration::from_nanos(
            tasks
                .flatten()
                .filter_map(|task| of_task(task.path()))
                .sum(),
        )
    }

    /// How many descriptors the server has open.
    pub(crate) fn descriptor_count(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id()))
            .unwrap()
            .count()
    }

    /// Waits until the server has as many descriptors open as it should.
    #[track_caller]
    pub(crate) fn wait_for_descriptors(&self, count: usize) {
        let start = Instant::now();
        while self.descriptor_count() != count {
            assert!(
                start.elapsed() < DEADLINE,
                "{} descriptors are open, not {count}",
                self.descriptor_count()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let mut log = String::new();
            if let Some(mut stderr) = self.child.stderr.take() {
                let _ = stderr.read_to_string(&mut log);
            }
            eprintln!("the server logged: {log}");
        }
    }
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
        Self {
            reader: Reader::new(stream.try_clone().unwrap()),
            stream,
        }
    }

    pub(crate) fn send(&mut self, body: &[u8]) {
        let mut wire = [0; MESSAGE_LEN_MAX];
        let len = Body::new(body).unwrap().encode(&mut wire).unwrap();
        self.send_raw(&wire[..len]);
    }

    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub(crate) fn end_sending(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Receives one message.
    #[track_caller]
    pub(crate) fn receive(&mut self) -> Vec<u8> {
        self.try_receive()
            .expect("the server closed the connection")
    }

    /// Receives one message, or `None` when the server has closed on a message boundary.
    #[track_caller]
    pub(crate) fn try_receive(&mut self) -> Option<Vec<u8>> {
        let body = self
            .reader
            .next_body()
            .expect("the server closes on a message boundary, and before the deadline");
        body.map(|body| body.as_bytes().to_vec())
    }

    /// Receives everything until the server closes.
    #[track_caller]
    pub(crate) fn receive_all(&mut self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.try_receive()).collect()
    }

    /// Receives one message, or `None` when the server has closed or cut the connection.
    pub(crate) fn receive_until_cut(&mut self) -> Option<Vec<u8>> {
        match self.reader.next_body() {
            Ok(body) => body.map(|body| body.as_bytes().to_vec()),
            Err(ReadError::Unfinished(_)) => None,
            Err(ReadError::Io(error)) if error.kind() == ErrorKind::ConnectionReset => None,
            Err(error) => panic!("cannot receive: {error}"),
        }
    }

    /// Returns how many bytes the system holds at the server's end of the connection, or `None`
    /// when there is no such end any more.
    pub(crate) fn unsent_len(&self) -> Option<usize> {
        let port = |address: SocketAddr| format!(":{:04X}", address.port());
        let server = port(self.stream.peer_addr().ok()?);
        let client = port(self.stream.local_addr().unwrap());
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let mut rows = table
            .lines()
            .map(|row| row.split_whitespace().collect::<Vec<_>>());
        let row = rows.find(|row| row[1].ends_with(&server) && row[2].ends_with(&client))?;
        let (unsent, _) = row[4].split_once(':').unwrap();
        Some(usize::from_str_radix(unsent, 16).unwrap())
    }

    /// Tells whether the server has closed the connection without sending anything.
    pub(crate) fn is_closed(&mut self) -> bool {
        match self.stream.read(&mut [0]) {
            Ok(len) => len == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }
}

/// Reads a ready line.
fn read_address(stdout: &mut impl BufRead) -> SocketAddr {
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let address = line
        .strip_prefix("listening on ")
        .and_then(|rest| rest.strip_suffix('\n'));
    address
        .unwrap_or_else(|| panic!("the server said {line:?}"))
        .parse()
        .unwrap()
}

/// Waits for a server to end by itself; returns how it did.
#[track_caller]
pub(crate) fn wait_for_exit(child: &mut Child) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if start.elapsed() > DEADLINE {
            child.kill().unwrap();
            panic!("the server does not end");
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Returns a pipe that takes no more, as long as nobody reads it.
pub(crate) fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = pipe().unwrap();
    ioctl_fionbio(&writer, true).unwrap();
    while writer.write(&[b'\n'; 4096]).is_ok() {}
    while writer.write(b"\n").is_ok() {}
    ioctl_fionbio(&writer, false).unwrap();
    (reader, writer)
}

/// The server's command, without arguments.
pub(crate) fn chat_server() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chat-server"));
    command.env_remove("RUST_LOG");
    command
}

/// Runs a command that should end by itself, with an input; kills it at the deadline.
pub(crate) fn run(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = Pid::from_child(&child);
    let (ended, has_ended) = mpsc::channel::<()>();
    let watchdog = thread::spawn(move || {
        if has_ended.recv_timeout(DEADLINE) == Err(mpsc::RecvTimeoutError::Timeout) {
            let _ = kill_process(pid, Signal::KILL);
        }
    });
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feeding = thread::spawn(move || {
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    drop(ended);
    watchdog.join().unwrap();
    feeding.join().unwrap();
    output
}
