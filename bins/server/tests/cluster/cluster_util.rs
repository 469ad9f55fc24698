use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::nats::{DEADLINE, Nats, free_port};
use crate::util::{Server, chat_server};

/// A server of a cluster, and where its figures are.
pub(crate) struct Node {
    pub(crate) server: Server,
    metrics: u16,
}

/// The command of a server of a cluster.
pub(crate) fn command(nats: &Nats, node: &str) -> Command {
    command_with(nats, node, "1")
}

/// The command of a server of a cluster with a number of replicas.
pub(crate) fn command_with(nats: &Nats, node: &str, replicas: &str) -> Command {
    let mut command = chat_server();
    command.args(["127.0.0.1:0", "--cluster", &nats.url()]);
    command.args(["--cluster-stream", "room", "--node", node]);
    command.args(["--cluster-replicas", replicas]);
    command
}

impl Node {
    pub(crate) fn start(nats: &Nats, node: &str) -> Self {
        Self::start_with(nats, node, &[])
    }

    pub(crate) fn start_with(nats: &Nats, node: &str, args: &[&str]) -> Self {
        let metrics = free_port();
        let mut command = command(nats, node);
        command.args(["--metrics", &metrics.to_string()]).args(args);
        Self {
            server: Server::spawn(command),
            metrics,
        }
    }

    /// Gets a path over HTTP; returns the status and the body.
    pub(crate) fn get(&self, path: &str) -> (String, String) {
        get(self.metrics, path)
    }

    /// Returns the figures of the cluster by name.
    pub(crate) fn figures(&self) -> BTreeMap<String, f64> {
        let (_, body) = self.get("/metrics");
        let lines = body
            .lines()
            .filter_map(|line| line.strip_prefix("chat_server_"));
        let figures = lines.filter_map(|line| line.rsplit_once(' '));
        figures
            .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
            .collect()
    }

    /// Waits until the server is ready for clients, or is not.
    #[track_caller]
    pub(crate) fn wait_for_ready(&self, is_ready: bool) -> String {
        let status = if is_ready { "200" } else { "503" };
        wait_until(|| {
            let (found, body) = self.get("/readyz");
            (found == status).then_some(body)
        })
    }
}

/// Gets a path over HTTP; returns the status and the body.
pub(crate) fn get(port: u16, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: here\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap();
    (status.to_owned(), body.to_owned())
}

/// Asks until there is an answer; returns it.
#[track_caller]
pub(crate) fn wait_until<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < DEADLINE, "it does not come to that");
        thread::sleep(Duration::from_millis(5));
    }
}
