use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

#[cfg(feature = "tls")]
use crate::tls_util::{TlsClient, TlsServer};
#[cfg(feature = "tls")]
use crate::util::Client;
use crate::util::{DEADLINE, Server};

/// Starts a server that serves metrics; returns where, too.
fn start(args: &[&str]) -> (Server, SocketAddr) {
    let args = [&["--metrics", "0", "--log", "info"], args].concat();
    let mut server = Server::start_with(&args);
    let address = address(server.log_lines());
    (server, address)
}

/// Finds in the log where the metrics are.
fn address(mut log: impl Iterator<Item = String>) -> SocketAddr {
    let line = log.find(|line| line.contains("metrics are at")).unwrap();
    let (_, address) = line.split_once("http://").unwrap();
    address.strip_suffix("/metrics").unwrap().parse().unwrap()
}

/// Sends a request as it is, and returns all that comes back.
fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(request).unwrap();
    let mut reply = String::new();
    // A reset is an end, too.
    let _ = stream.read_to_string(&mut reply);
    reply
}

/// Gets a path; returns the status and the body.
fn get(address: SocketAddr, path: &str) -> (String, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: here\r\n\r\n");
    let reply = exchange(address, request.as_bytes());
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap();
    (status.to_owned(), body.to_owned())
}

/// Returns the samples by name and labels.
fn samples(address: SocketAddr) -> BTreeMap<String, f64> {
    let (status, body) = get(address, "/metrics");
    assert_eq!(status, "200");
    assert!(body.ends_with("# EOF\n"), "{body}");
    let lines = body.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

/// Asks for the samples until one is as it should be; returns them.
#[track_caller]
fn wait_until(
    address: SocketAddr,
    name: &str,
    mut is_so: impl FnMut(f64) -> bool,
) -> BTreeMap<String, f64> {
    for _ in 0..DEADLINE.as_millis() / 10 {
        let samples = samples(address);
        if is_so(samples[name]) {
            return samples;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("{name} stays {}", samples(address)[name]);
}

#[track_caller]
fn wait_for(address: SocketAddr, name: &str, value: f64) -> BTreeMap<String, f64> {
    wait_until(address, name, |is| is == value)
}

#[test]
fn the_time_that_senders_wait_is_counted() {
    let (server, address) = start(&["--drop-policy", "block"]);
    let _sleeper = server.join(b"I never read");
    let mut sender = server.connect().stream;
    sender.set_nonblocking(true).unwrap();
    let flood = [255; 256].repeat(256);
    // Until the log and all sockets are full.
    let waiting = wait_until(address, "chat_server_waiting_publishers", |count| {
        while sender.write(&flood).is_ok() {
            while (&sender).read(&mut [0; 1 << 16]).is_ok() {}
        }
        count == 1.0
    });
    let name = "chat_server_publisher_wait_seconds_total";
    wait_until(address, name, |wait| wait > waiting[name]);
}

#[test]
fn what_clients_do_is_counted() {
    let (server, address) = start(&["--max-clients", "2"]);
    let mut one = server.join(b"hello");
    let mut two = server.join(b"hi");
    assert_eq!(one.receive(), b"hi");
    assert!(server.connect().is_closed());
    two.send(b"bye");
    assert_eq!(
        (one.receive(), two.receive()),
        (b"bye".to_vec(), b"bye".to_vec())
    );
    two.end_sending();
    assert_eq!(two.try_receive(), None);
    wait_for(address, "chat_server_clients", 1.0);
    // What was delivered is known from a client's next turn on.
    let samples = wait_for(address, "chat_server_delivered_messages_total", 5.0);
    for (name, value) in [
        ("chat_server_accepted_total", 2.0),
        ("chat_server_refused_total{reason=\"full\"}", 1.0),
        ("chat_server_refused_total{reason=\"too_fast\"}", 0.0),
        ("chat_server_received_messages_total", 3.0),
        ("chat_server_received_bytes_total", 6.0 + 3.0 + 4.0),
        ("chat_server_delivered_messages_total", 5.0),
        ("chat_server_delivered_bytes_total", 13.0 + 7.0),
        ("chat_server_dropped_messages_total{policy=\"oldest\"}", 0.0),
        ("chat_server_sessions_ended_total{reason=\"left\"}", 1.0),
        ("chat_server_clients_within_lag{le=\"0.0\"}", 1.0),
        ("chat_server_clients_within_lag{le=\"+Inf\"}", 1.0),
        ("chat_server_slowest_client_lag_bytes", 0.0),
    ] {
        assert_eq!(samples.get(name), Some(&value), "{name}");
    }
}

#[cfg(feature = "tls")]
#[test]
fn clients_that_fail_at_tls_are_counted_by_reason() {
    let mut tls = TlsServer::start_strict_with(&["--metrics", "0", "--log", "info"]);
    let mut log = tls.server.log_lines();
    let address = address(&mut log);
    let prefix = "chat_server_tls_refused_total{reason=\"";
    let refused = || {
        let samples = samples(address);
        let counts = samples.iter().filter_map(|(name, count)| {
            let reason = name.strip_prefix(prefix)?.strip_suffix("\"}")?;
            (*count > 0.0).then(|| format!("{reason}:{count}"))
        });
        counts.collect::<Vec<_>>().join(",")
    };
    assert_eq!(refused(), "");
    tls.connect().refused();
    tls.connect().refused();
    let mut plain = Client::of(TcpStream::connect(tls.address).unwrap());
    plain.send(b"hello");
    assert_eq!(plain.try_receive(), None);
    let config = tls.authority.client_config(None);
    TlsClient::connect(tls.server.address, config).refused();
    // That one had a session, which ends after its connection.
    wait_for(address, &format!("{prefix}tls_on_plain\"}}"), 1.0);
    let expected = "no_certificate:2,plain:1,tls_on_plain:1";
    assert_eq!(refused(), expected);
    tls.server.signal(Signal::USR1);
    let state = log.find(|line| line.contains("somebody asked")).unwrap();
    let told = format!("tls_refused=4 tls_refused_for={expected}");
    assert!(state.contains(&told), "{state}");
}

#[test]
fn losses_of_a_client_that_reads_nothing_are_seen_while_it_stays() {
    let (server, address) = start(&["--log-bytes", "64KiB", "--grace", "1ms"]);
    let _silent = server.join(b"I do not read");
    let mut sender = server.connect();
    let mut stream = sender.stream.try_clone().unwrap();
    let sending = thread::spawn(move || {
        let message = [[255].as_slice(), &[b'x'; 255]].concat();
        (0..100_000).for_each(|_| stream.write_all(&message).unwrap());
        stream.write_all(b"\x03end").unwrap();
    });
    // On a busy machine it may lose some of its own, but not the last.
    while sender.receive() != b"end" {}
    sending.join().unwrap();
    // What the sender has read is known from its next turn on.
    let samples = wait_for(address, "chat_server_clients_within_lag{le=\"0.0\"}", 1.0);
    let dropped = "chat_server_dropped_messages_total{policy=\"oldest\"}";
    assert!(samples[dropped] > 1000.0, "{samples:?}");
    assert_eq!(samples["chat_server_stalled_clients"], 1.0);
    assert_eq!(samples["chat_server_laggards"], 1.0);
    assert!(samples["chat_server_slowest_client_lag_bytes"] > 65536.0);
    assert!(samples["chat_server_log_bytes"] <= 65536.0);
    let within = |le: &str| samples[&format!("chat_server_clients_within_lag{{le=\"{le}\"}}")];
    assert_eq!(
        (within("0.0"), within("65536.0"), within("+Inf")),
        (1.0, 1.0, 2.0)
    );
}

#[test]
fn a_server_that_ends_is_alive_and_not_ready() {
    let (server, address) = start(&["--log-bytes", "64MiB", "--grace", "10s"]);
    assert_eq!(get(address, "/healthz").0, "200");
    assert_eq!(
        get(address, "/readyz"),
        ("200".to_owned(), "ready\n".to_owned())
    );
    // It is told the end, and does not close.
    let mut client = server.join(b"hello");
    server.signal(Signal::TERM);
    assert_eq!(client.try_receive(), None);
    client.send(b"I am still here");
    assert_eq!(
        get(address, "/readyz"),
        ("503".to_owned(), "ending\n".to_owned())
    );
    assert_eq!(get(address, "/healthz").0, "200");
    drop(client);
    assert_eq!(server.wait().0.code(), Some(0));
}

#[test]
fn only_strict_requests_are_answered() {
    let (mut server, address) = start(&[]);
    let status = |request: &str| {
        let reply = exchange(address, request.as_bytes());
        reply.split(' ').nth(1).map(str::to_owned)
    };
    for (request, expected) in [
        ("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", "200"),
        ("GET /metrics?a=b HTTP/1.0\r\n\r\n", "200"),
        ("GET /metrics HTTP/1.1\r\n\r\n", "400"),
        ("GET /metrics HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"),
        (
            "GET /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n",
            "400",
        ),
        ("GET /metrics HTTP/2.0\r\n\r\n", "400"),
        ("\u{16}\u{3}\u{1}", "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "404"),
        ("GET /../metrics HTTP/1.1\r\nHost: a\r\n\r\n", "404"),
        ("POST /metrics HTTP/1.1\r\nHost: a\r\n\r\n", "405"),
    ] {
        assert_eq!(status(request).as_deref(), Some(expected), "{request:?}");
    }
    let long = format!("GET / HTTP/1.1\r\nHost: {}", "a".repeat(9000));
    assert_eq!(status(&long).as_deref(), Some("431"));
    let head = exchange(address, b"HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"));
    assert!(head.contains("\r\nContent-Type: application/openmetrics-text; version=1.0.0;"));
    server.assert_serves();
}

#[test]
fn a_request_may_come_in_bytes_and_silent_ones_stop_nobody() {
    let (server, address) = start(&[]);
    let silent: Vec<_> = (0..7)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    let mut slow = TcpStream::connect(address).unwrap();
    slow.set_nodelay(true).unwrap();
    for byte in b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n" {
        slow.write_all(&[*byte]).unwrap();
    }
    let mut reply = String::new();
    slow.read_to_string(&mut reply).unwrap();
    assert!(reply.ends_with("\r\n\r\nready\n"), "{reply}");
    drop(slow);
    // There are places for eight; those that take them without a word lose them in time.
    let more: Vec<_> = (0..8)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    for mut stream in silent.into_iter().chain(more) {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
    }
    assert_eq!(get(address, "/readyz").0, "200");
    drop(server);
}

#[test]
fn dashboards_alerts_and_pages_name_figures_that_there_are() {
    let (_server, address) = start(&[]);
    let known: Vec<_> = samples(address)
        .into_keys()
        .map(|name| name.split('{').next().unwrap().to_owned())
        .collect();
    let dist = concat!(env!("CARGO_MANIFEST_DIR"), "/dist/");
    let page = "../../../docs/OPERATION.md";
    for (file, least) in [
        ("grafana-dashboard.json", 12),
        ("prometheus-alerts.yml", 6),
        (page, 15),
    ] {
        let text = std::fs::read_to_string(format!("{dist}{file}")).unwrap();
        let is_in_name = |char: char| char.is_ascii_alphanumeric() || char == '_';
        let words = text.split(|char| !is_in_name(char));
        let named: Vec<_> = words
            .filter(|word| word.starts_with("chat_server_"))
            .collect();
        for name in &named {
            assert!(known.iter().any(|known| known == name), "{file}: {name}");
        }
        assert!(named.len() >= least, "{file}");
    }
    let text = std::fs::read_to_string(format!("{dist}{page}")).unwrap();
    for name in known {
        assert!(
            text.contains(&format!("`{name}`")),
            "the page has no {name}"
        );
    }
    let text = std::fs::read_to_string(format!("{dist}grafana-dashboard.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(dashboard["panels"].as_array().unwrap().len() >= 8);
}
