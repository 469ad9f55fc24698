use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use chat_proto::blocking::Reader;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::util::{DEADLINE, Server, chat_server, run, wait_for_exit};

/// A path for a socket, named after the test. Paths of sockets are short, so it is not where the
/// tests are built.
pub(crate) struct SocketPath(pub(crate) PathBuf);

impl SocketPath {
    pub(crate) fn new(name: &str) -> Self {
        let name = format!("chat-{}-{name}.sock", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    /// Returns the path as the server takes it.
    pub(crate) fn address(&self) -> String {
        format!("unix:{}", self.0.display())
    }
}

impl Drop for SocketPath {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A client at a Unix socket: blocking, with a deadline on everything.
pub(crate) struct UnixClient {
    pub(crate) stream: UnixStream,
    reader: Reader<UnixStream>,
}

impl UnixClient {
    pub(crate) fn connect(path: &Path) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Self {
            reader: Reader::new(stream.try_clone().unwrap()),
            stream,
        }
    }

    /// Connects, and waits for its own echo.
    pub(crate) fn join(path: &Path, hello: &[u8]) -> Self {
        let mut client = Self::connect(path);
        client.send(hello);
        while client.receive() != hello {}
        client
    }

    pub(crate) fn send(&mut self, body: &[u8]) {
        let len = u8::try_from(body.len()).unwrap();
        self.stream.write_all(&[&[len], body].concat()).unwrap();
    }

    pub(crate) fn receive(&mut self) -> Vec<u8> {
        self.try_receive().expect("the server has not closed")
    }

    /// Receives one message, or `None` when the server has closed on a message boundary.
    pub(crate) fn try_receive(&mut self) -> Option<Vec<u8>> {
        let body = self.reader.next_body().expect("it comes in time and whole");
        body.map(|body| body.as_bytes().to_vec())
    }
}

/// Starts a server that listens on a TCP port and at the path.
fn start(path: &SocketPath, args: &[&str]) -> Server {
    let address = path.address();
    let mut server = Server::start_with(&[&["--listen", &address], args].concat());
    assert_eq!(server.next_line(), format!("listening on {address}\n"));
    server
}

/// Starts a server that listens at the path alone, and waits until it does.
fn start_alone(path: &SocketPath) -> Child {
    let mut command = chat_server();
    command.arg(path.address()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    let stdout = child.stdout.as_mut().unwrap();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    assert_eq!(line, format!("listening on {}\n", path.address()));
    child
}

fn end(mut child: Child) {
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(wait_for_exit(&mut child).code(), Some(0));
}

/// Asserts that a server does not start at the path, and says why.
#[track_caller]
fn assert_refused(path: &SocketPath, why: &str) {
    let output = run(chat_server().arg(path.address()), b"");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stderr,
        format!("error: cannot listen on {}: {why}\n", path.address())
    );
    assert!(output.stdout.is_empty());
}

#[test]
fn clients_of_a_unix_socket_and_of_tcp_are_in_one_room() {
    let path = SocketPath::new("room");
    let server = start(&path, &[]);
    let mut near = UnixClient::join(&path.0, b"near");
    let mut far = server.join(b"far");
    assert_eq!(near.receive(), b"far");
    far.send(b"to all");
    assert_eq!(near.receive(), b"to all");
    assert_eq!(far.receive(), b"to all");
    near.send(b"");
    assert_eq!(near.receive(), b"");
    assert_eq!(far.receive(), b"");

    // One that ends its sending side gets everything up to its own last message.
    near.send(b"good bye");
    near.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(near.receive(), b"good bye");
    assert_eq!(near.try_receive(), None);

    let mut last = UnixClient::join(&path.0, b"last");
    server.signal(Signal::TERM);
    assert_eq!(last.try_receive(), None);
    assert_eq!(server.wait().0.code(), Some(0));
    assert!(!path.0.exists(), "its file is removed");
}

#[test]
fn whole_batches_go_through_a_unix_socket() {
    let path = SocketPath::new("batches");
    let _server = start(&path, &["--drop-policy", "block"]);
    let client = UnixClient::join(&path.0, b"hello");
    let mut output = client.stream.try_clone().unwrap();
    let burst = [255; 256].repeat(4096);
    let sent = burst.clone();
    let sending = std::thread::spawn(move || {
        for _ in 0..16 {
            output.write_all(&sent).unwrap();
        }
        output.shutdown(Shutdown::Write).unwrap();
    });
    let mut received = Vec::new();
    (&client.stream).read_to_end(&mut received).unwrap();
    sending.join().unwrap();
    assert!(received == burst.repeat(16), "{} bytes", received.len());
}

#[test]
fn a_client_that_never_reads_its_unix_socket_stops_nobody() {
    let path = SocketPath::new("stalled");
    let server = start(&path, &["--drop-policy", "disconnect"]);
    let mut stalled = UnixClient::join(&path.0, b"stalled");
    let mut talker = server.join(b"talker");
    // More than the log and the socket hold.
    for _ in 0..200 {
        talker.send_raw(&[255; 256].repeat(256));
        for _ in 0..256 {
            assert_eq!(talker.receive(), [255; 255]);
        }
    }
    // It was closed, and has what its socket held, to a boundary or not.
    let mut rest = Vec::new();
    let _ = stalled.stream.read_to_end(&mut rest);
    assert!(rest.len() < 4 << 20, "{} bytes are held", rest.len());
}

#[test]
fn a_file_that_a_server_left_behind_is_replaced() {
    let path = SocketPath::new("left-behind");
    let mut child = start_alone(&path);
    child.kill().unwrap();
    wait_for_exit(&mut child);
    assert!(path.0.exists(), "nobody was there to remove it");
    let child = start_alone(&path);
    UnixClient::join(&path.0, b"hello");
    end(child);
    assert!(!path.0.exists());
}

#[test]
fn a_path_where_a_server_listens_is_refused() {
    let path = SocketPath::new("in-use");
    let child = start_alone(&path);
    let mut client = UnixClient::join(&path.0, b"hello");
    let why = "another program listens there; end it, or choose another path";
    assert_refused(&path, why);
    client.send(b"still here");
    assert_eq!(client.receive(), b"still here");
    UnixClient::join(&path.0, b"me too");
    end(child);

    // So is one that does not come to accepting.
    let _listener = UnixListener::bind(&path.0).unwrap();
    assert_refused(&path, why);
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let path = SocketPath::new("precious");
    fs::write(&path.0, "precious").unwrap();
    assert_refused(
        &path,
        "there is a file that is no socket; remove it, or choose another path",
    );
    assert_eq!(fs::read(&path.0).unwrap(), b"precious");
}

#[test]
fn the_umask_says_who_may_connect() {
    use std::os::unix::fs::PermissionsExt;
    let path = SocketPath::new("umask");
    let mut command = std::process::Command::new("sh");
    let script = "umask 027 && exec \"$0\" 127.0.0.1:0 --listen \"$1\"";
    let server = env!("CARGO_BIN_EXE_chat-server");
    command.args(["-c", script, server, &path.address()]);
    let mut server = Server::spawn(command);
    server.next_line();
    let mode = fs::symlink_metadata(&path.0).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o750);
}

#[test]
fn clients_of_a_unix_socket_count_but_have_no_address_to_count() {
    let path = SocketPath::new("counted");
    let args = ["--max-clients-per-ip", "1", "--connect-rate-per-ip", "1"];
    let server = start(&path, &[&args[..], &["--max-clients", "4"]].concat());
    let mut clients: Vec<_> = (0..3)
        .map(|_| UnixClient::join(&path.0, b"hello"))
        .collect();
    let mut far = server.join(b"far");
    for _ in 0..2 {
        assert_eq!(
            UnixClient::connect(&path.0).stream.read(&mut [0]).unwrap(),
            0
        );
    }
    far.send(b"still here");
    while clients[0].receive() != b"still here" {}
}

#[test]
fn a_client_of_a_unix_socket_is_seen_by_its_process_and_closed() {
    let (path, admin) = (SocketPath::new("seen"), SocketPath::new("seen-admin"));
    let admin_path = admin.0.to_str().unwrap();
    let mut server = start(&path, &["--admin", admin_path, "--log", "debug"]);
    let mut log = server.log_lines();
    let mut client = UnixClient::join(&path.0, b"hello");
    let name = format!("unix:pid={}", std::process::id());
    let connected = log.find(|line| line.contains("connected")).unwrap();
    assert!(connected.contains(&format!("peer={name}")), "{connected}");

    let top = run(chat_server().args(["top", "--admin", admin_path]), b"");
    let table = String::from_utf8(top.stdout).unwrap();
    assert!(table.contains(&format!(" {name} ")), "{table}");

    let mut admin = UnixStream::connect(&admin.0).unwrap();
    admin.set_read_timeout(Some(DEADLINE)).unwrap();
    writeln!(admin, "clients\nclose {name}").unwrap();
    let lines = BufReader::new(&admin).lines().take(3);
    let answers: Vec<Value> = lines
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect();
    assert_eq!(answers[0]["address"], name);
    assert_eq!(answers[2]["closed"], 1);
    assert_eq!(client.try_receive(), None);
}

#[cfg(feature = "tls")]
#[test]
fn tls_is_spoken_at_a_unix_socket_too() {
    use rustls::{ClientConnection, StreamOwned};

    use crate::certs::{Authority, Folder};

    let path = SocketPath::new("tls");
    let (authority, folder) = (Authority::new(), Folder::new());
    let identity = authority.issue();
    let cert = folder.write("cert.pem", &identity.cert);
    let key = folder.write("key.pem", &identity.key);
    let address = path.address();
    let args = [
        "--tls-listen",
        &address,
        "--tls-cert",
        &cert,
        "--tls-key",
        &key,
    ];
    let mut server = Server::start_with(&args);
    assert_eq!(
        server.next_line(),
        format!("listening on {address} with TLS\n")
    );
    let mut plain = server.join(b"plain");
    let name = std::net::IpAddr::from([127, 0, 0, 1]).into();
    let session = ClientConnection::new(authority.client_config(None), name).unwrap();
    let stream = UnixStream::connect(&path.0).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut secure = StreamOwned::new(session, stream);
    secure.write_all(b"\x06secure").unwrap();
    let mut echo = [0; 7];
    secure.read_exact(&mut echo).unwrap();
    assert_eq!(&echo, b"\x06secure");
    assert_eq!(plain.receive(), b"secure");
    // One that speaks no TLS is refused, and nobody else disturbed.
    let mut other = UnixClient::connect(&path.0);
    other.send(b"hello");
    let mut rest = Vec::new();
    let _ = other.stream.read_to_end(&mut rest);
    assert!(!rest.ends_with(b"hello"));
    plain.send(b"still here");
    assert_eq!(plain.receive(), b"still here");
}
