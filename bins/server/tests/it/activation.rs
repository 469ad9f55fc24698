use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use command_fds::{CommandFdExt, FdMapping};
use rustix::process::Signal;

use crate::unix::{SocketPath, UnixClient};
use crate::util::{Client, DEADLINE, Server, run};

/// Returns the command of a server that is handed over sockets, as a service manager does: from the
/// third descriptor on, and with the number of the process in a variable.
fn handed(sockets: Vec<OwnedFd>, names: &str) -> Command {
    let mut command = Command::new("sh");
    let server = env!("CARGO_BIN_EXE_chat-server");
    command.args(["-c", "LISTEN_PID=$$ exec \"$0\" \"$@\"", server]);
    command.env("LISTEN_FDS", sockets.len().to_string());
    command.env("LISTEN_FDNAMES", names).env_remove("RUST_LOG");
    let numbered = sockets.into_iter().zip(3..);
    let mappings = numbered.map(|(parent_fd, child_fd)| FdMapping {
        parent_fd,
        child_fd,
    });
    command.fd_mappings(mappings.collect()).unwrap();
    command
}

/// What a service manager holds.
struct Manager {
    tcp: TcpListener,
    unix: UnixListener,
    path: SocketPath,
}

impl Manager {
    fn new(name: &str) -> Self {
        let path = SocketPath::new(name);
        Self {
            tcp: TcpListener::bind("127.0.0.1:0").unwrap(),
            unix: UnixListener::bind(&path.0).unwrap(),
            path,
        }
    }

    fn address(&self) -> SocketAddr {
        self.tcp.local_addr().unwrap()
    }

    /// Starts a server that is handed over both sockets.
    fn start(&self, args: &[&str]) -> Server {
        let tcp = self.tcp.try_clone().unwrap();
        let unix = self.unix.try_clone().unwrap();
        let mut command = handed(vec![tcp.into(), unix.into()], "chat:local");
        command.args(args);
        let mut server = Server::spawn(command);
        assert_eq!(server.address, self.address());
        let line = format!("listening on {}\n", self.path.address());
        assert_eq!(server.next_line(), line);
        server
    }
}

#[test]
fn sockets_that_are_handed_over_are_served_and_no_others() {
    let manager = Manager::new("handed-over");
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let unused = free.local_addr().unwrap();
    drop(free);
    let server = manager.start(&[&unused.to_string()]);
    let mut far = server.join(b"far");
    let mut near = UnixClient::join(&manager.path.0, b"near");
    assert_eq!(far.receive(), b"near");
    far.send(b"hello");
    assert_eq!(near.receive(), b"hello");
    let error = TcpStream::connect(unused).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().0.code(), Some(0));
    assert!(manager.path.0.exists(), "the file is the manager's");
}

#[test]
fn who_connects_while_no_server_runs_is_served_by_the_next() {
    let manager = Manager::new("restarted");
    for _ in 0..3 {
        let mut far = Client::of(TcpStream::connect(manager.address()).unwrap());
        let mut near = UnixClient::connect(&manager.path.0);
        far.send(b"far");
        near.send(b"near");
        let server = manager.start(&[]);
        while far.receive() != b"far" {}
        while near.receive() != b"near" {}
        server.signal(Signal::TERM);
        assert_eq!(server.wait().0.code(), Some(0));
    }
}

/// Ends the clients of a test, however it ends.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Sends a message; returns whether a message came back. It does not where the server is about to end.
fn is_served(mut stream: impl Read + Write) -> bool {
    let exchanged = stream
        .write_all(b"\x05hello")
        .and_then(|()| stream.read(&mut [0; 64]));
    match exchanged {
        Ok(len) => len > 0,
        Err(error) => {
            let is_end = matches!(
                error.kind(),
                ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
            );
            assert!(is_end, "{error}");
            false
        }
    }
}

#[test]
fn nobody_is_refused_while_the_server_restarts() {
    let manager = Manager::new("restarting");
    let is_over = AtomicBool::new(false);
    let served_count = AtomicUsize::new(0);
    let connect_for_ever = || {
        while !is_over.load(Ordering::SeqCst) {
            let tcp = TcpStream::connect(manager.address()).unwrap();
            tcp.set_read_timeout(Some(DEADLINE)).unwrap();
            let unix = UnixStream::connect(&manager.path.0).unwrap();
            unix.set_read_timeout(Some(DEADLINE)).unwrap();
            let count = usize::from(is_served(tcp)) + usize::from(is_served(unix));
            served_count.fetch_add(count, Ordering::SeqCst);
        }
    };
    let last = thread::scope(|scope| {
        let _over = Over(&is_over);
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(connect_for_ever)).collect();
        for _ in 0..4 {
            let server = manager.start(&[]);
            // They come while a server runs, too.
            let before = served_count.load(Ordering::SeqCst);
            while served_count.load(Ordering::SeqCst) < before + 20 {
                assert!(clients.iter().all(|client| !client.is_finished()));
                thread::yield_now();
            }
            server.signal(Signal::TERM);
            assert_eq!(server.wait().0.code(), Some(0));
        }
        manager.start(&[])
    });
    drop(last);
}

#[test]
fn a_socket_for_another_process_is_not_taken() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_chat-server"));
    let mapping = FdMapping {
        parent_fd: listener.into(),
        child_fd: 3,
    };
    command.fd_mappings(vec![mapping]).unwrap();
    command.env("LISTEN_PID", "1").env("LISTEN_FDS", "1");
    let mut server = Server::spawn({
        command.arg("127.0.0.1:0");
        command
    });
    assert_ne!(server.address, address);
    server.assert_serves();
}

#[test]
fn what_is_handed_over_and_no_listener_is_refused() {
    let (one, _other) = UnixStream::pair().unwrap();
    let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let file = std::fs::File::open("/dev/null").unwrap();
    for socket in [one.into(), datagrams.into(), file.into()] {
        let output = run(&mut handed(vec![socket], "chat"), b"");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        let expected =
            "error: cannot serve descriptor 3, which was handed over: it is no TCP or Unix";
        assert!(stderr.starts_with(expected), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}

#[cfg(feature = "tls")]
#[test]
fn a_socket_that_is_called_tls_is_for_tls() {
    use crate::certs::{Authority, Folder};
    use crate::tls_util::TlsClient;

    let (authority, folder) = (Authority::new(), Folder::new());
    let identity = authority.issue();
    let cert = folder.write("cert.pem", &identity.cert);
    let key = folder.write("key.pem", &identity.key);
    let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
    let (plain, tls) = (listen(), listen());
    let (address, tls_address) = (plain.local_addr().unwrap(), tls.local_addr().unwrap());
    // Whatever comes first.
    let mut command = handed(vec![tls.into(), plain.into()], "tls:chat");
    command.args(["--tls-cert", &cert, "--tls-key", &key]);
    let mut server = Server::spawn(command);
    assert_eq!(server.address, address);
    let line = format!("listening on {tls_address} with TLS\n");
    assert_eq!(server.next_line(), line);
    let mut secure = TlsClient::connect(tls_address, authority.client_config(None));
    secure.send(b"secure");
    assert_eq!(secure.receive(), b"secure");
    server.assert_serves();

    // Without a certificate it cannot be served.
    let output = run(&mut handed(vec![listen().into()], "tls"), b"");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("needs tls-cert"), "{stderr}");
}
