//! A NATS server of the tests' own. The tests of the chat server include this file.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

/// How long anything may take. Nothing here comes near it unless it hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A running server; it is killed when it goes out of scope, and its files are removed.
pub(crate) struct Nats {
    child: Child,
    port: u16,
    dir: PathBuf,
}

/// Returns whether there is a program to test with, and tells if not. In the gate there has to be
/// one.
pub(crate) fn is_installed() -> bool {
    let version = Command::new(PROGRAM).arg("--version").output();
    let is_there = version.is_ok_and(|output| output.status.success());
    let must = env::var_os("CI").is_some();
    assert!(is_there || !must, "{PROGRAM} is not installed");
    if !is_there {
        eprintln!("skipped: {PROGRAM} is not installed (Debian: apt-get install nats-server)");
    }
    is_there
}

impl Nats {
    /// Starts a server with JetStream in files.
    pub(crate) fn start() -> Self {
        Self::start_with("jetstream { store_dir: \"DIR/js\", max_mem: 1G, max_file: 4G }")
    }

    /// Starts a server with a configuration, in which `DIR` is a directory of its own.
    pub(crate) fn start_with(config: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = env::temp_dir().join(format!("chat-nats-{}-{number}", process::id()));
        fs::create_dir_all(&dir).unwrap();
        let config = config.replace("DIR", dir.to_str().unwrap());
        fs::write(dir.join("nats.conf"), config).unwrap();
        let port = free_port();
        let child = spawn(&dir, port);
        let nats = Self { child, port, dir };
        nats.wait_until_ready();
        nats
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Kills the server. Its files stay.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts the server again, at the same address and with the same files.
    pub(crate) fn restart(&mut self) {
        self.child = spawn(&self.dir, self.port);
        self.wait_until_ready();
    }

    /// Removes what the server keeps in files, as a lost disk would.
    pub(crate) fn lose_files(&self) {
        fs::remove_dir_all(self.dir.join("js")).unwrap();
    }

    /// Waits until the server greets those who connect, which it does when it knows its streams.
    fn wait_until_ready(&self) {
        let start = Instant::now();
        while !self.greets() {
            let log = || fs::read_to_string(self.dir.join("log")).unwrap_or_default();
            assert!(start.elapsed() < DEADLINE, "NATS does not start: {}", log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn greets(&self) -> bool {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let Ok(mut stream) = TcpStream::connect(address) else {
            return false;
        };
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut line = String::new();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let greeted = reader.read_line(&mut line).is_ok() && line.starts_with("INFO ");
        let _ = stream.write_all(b"PING\r\n");
        greeted
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let log = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
            eprintln!("NATS logged: {log}");
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn spawn(dir: &std::path::Path, port: u16) -> Child {
    Command::new(PROGRAM)
        .args(["--addr", "127.0.0.1", "--port", &port.to_string()])
        .arg("--config")
        .arg(dir.join("nats.conf"))
        .arg("--log")
        .arg(dir.join("log"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Returns a port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

const PROGRAM: &str = "nats-server";
