use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::unix::{SocketPath, UnixClient};
use crate::util::{Client, DEADLINE, Server, chat_server, run};

/// Returns a header of version 2 that says that a connection is for a client.
fn header(client: &str) -> Vec<u8> {
    let client: SocketAddr = client.parse().unwrap();
    let (family, mut ends) = match client {
        SocketAddr::V4(client) => (0x11, [client.ip().octets(), [192, 0, 2, 1]].concat()),
        SocketAddr::V6(client) => (0x21, [client.ip().octets(), [1; 16]].concat()),
    };
    ends.extend(client.port().to_be_bytes());
    ends.extend(8080_u16.to_be_bytes());
    of_command(0x21, family, &ends)
}

fn of_command(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let len = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &len, rest].concat()
}

/// A server that believes proxies on this machine, and can be asked.
struct ProxiedServer {
    server: Server,
    admin: SocketPath,
}

impl ProxiedServer {
    fn start(name: &str, args: &[&str]) -> Self {
        let admin = SocketPath::new(&format!("{name}-admin"));
        let own = ["--proxy-from", "127.0.0.1", "--admin"];
        let args = [&own[..], &[admin.0.to_str().unwrap()], args].concat();
        let server = Server::start_with(&args);
        Self { server, admin }
    }

    /// Connects and sends bytes.
    fn begin(&self, bytes: &[u8]) -> Client {
        let mut client = self.server.connect();
        client.send_raw(bytes);
        client
    }

    /// Connects for a client, and waits for its own echo.
    fn join_for(&self, client: &str) -> Client {
        self.join_with(&header(client))
    }

    fn join_with(&self, header: &[u8]) -> Client {
        let mut client = self.begin(&[header, b"\x05hello"].concat());
        while client.receive() != b"hello" {}
        client
    }

    /// Returns what the server says to a command: the rows, and the last line.
    fn ask(&self, command: &str) -> (Vec<Value>, Value) {
        let mut stream = UnixStream::connect(&self.admin.0).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        writeln!(stream, "{command}").unwrap();
        let mut rows = Vec::new();
        for line in BufReader::new(stream).lines() {
            let value: Value = serde_json::from_str(&line.unwrap()).unwrap();
            if value.get("ok").is_some() {
                return (rows, value);
            }
            rows.push(value);
        }
        panic!("there is no last line");
    }

    /// Returns where the clients come from.
    fn addresses(&self) -> Vec<String> {
        let (rows, _) = self.ask("clients");
        let address = |row: &Value| row["address"].as_str().unwrap().to_owned();
        rows.iter().map(address).collect()
    }

    /// Returns how many clients were refused since nobody said whom they are for.
    fn refused_count(&self) -> u64 {
        let (_, last) = self.ask("state");
        last["state"]["refused"]["no_proxy_header"]
            .as_u64()
            .unwrap()
    }
}

/// Waits until the server has read all that a client has sent.
fn wait_until_read(client: &Client) {
    let port = |address: SocketAddr| format!(":{:04X}", address.port());
    let server = port(client.stream.peer_addr().unwrap());
    let own = port(client.stream.local_addr().unwrap());
    let start = Instant::now();
    loop {
        let table = fs::read_to_string("/proc/net/tcp").unwrap();
        let rows = table
            .lines()
            .map(|row| row.split_whitespace().collect::<Vec<_>>());
        let of_client = |row: &Vec<&str>| row[1].ends_with(&server) && row[2].ends_with(&own);
        let queue = rows
            .into_iter()
            .find(of_client)
            .map(|row| row[4].to_owned());
        if queue.is_some_and(|queue| queue.ends_with(":00000000")) {
            return;
        }
        assert!(start.elapsed() < DEADLINE, "the server does not read");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_client_is_known_by_what_its_proxy_says() {
    let mut proxied = ProxiedServer::start("known", &["--log", "debug"]);
    let mut log = proxied.server.log_lines();
    let mut one = proxied.join_for("192.0.2.7:4000");
    let line = log.find(|line| line.contains("connected")).unwrap();
    assert!(line.contains("peer=192.0.2.7:4000"), "{line}");
    let mut two = proxied.join_for("[2001:db8::7]:4001");
    assert_eq!(one.receive(), b"hello");
    assert_eq!(
        proxied.addresses(),
        ["192.0.2.7:4000", "[2001:db8::7]:4001"]
    );
    proxied.ask("close 192.0.2.7:4000");
    assert_eq!(one.try_receive(), None);
    two.send(b"still here");
    assert_eq!(two.receive(), b"still here");
    let closed = log
        .find(|line| line.contains("somebody asked for it"))
        .unwrap();
    assert!(closed.contains("peer=192.0.2.7:4000"), "{closed}");
}

#[test]
fn a_header_and_the_first_message_are_told_apart_wherever_they_are_cut() {
    let proxied = ProxiedServer::start("cut", &[]);
    let of_v1 = b"PROXY TCP4 192.0.2.7 192.0.2.1 4000 8080\r\n".to_vec();
    for header in [header("192.0.2.7:4000"), of_v1] {
        let bytes = [&header[..], b"\x05hello\x00"].concat();
        for cut in 1..bytes.len() {
            let mut client = proxied.begin(&bytes[..cut]);
            wait_until_read(&client);
            client.send_raw(&bytes[cut..]);
            assert_eq!(client.receive(), b"hello", "cut at {cut}");
            assert_eq!(client.receive(), b"", "cut at {cut}");
        }
        let mut client = proxied.server.connect();
        for &byte in &bytes {
            client.send_raw(&[byte]);
        }
        client.end_sending();
        assert_eq!(client.receive_all(), [&b"hello"[..], b""]);
    }
    assert_eq!(proxied.refused_count(), 0);
}

#[test]
fn a_proxy_that_connects_for_nobody_is_a_client() {
    let proxied = ProxiedServer::start("local", &[]);
    let ends = [0; 216];
    for (header, expected) in [
        (of_command(0x20, 0, b""), None),
        (of_command(0x20, 0x11, &ends[..12]), None),
        (of_command(0x21, 0, b""), None),
        (b"PROXY UNKNOWN\r\n".to_vec(), None),
        (of_command(0x21, 0x31, &ends), Some("unix".to_owned())),
    ] {
        let mut client = proxied.join_with(&header);
        let own = client.stream.local_addr().unwrap().to_string();
        assert_eq!(proxied.addresses(), [expected.unwrap_or(own)]);
        client.end_sending();
        assert_eq!(client.receive_all(), [b""; 0]);
        while !proxied.addresses().is_empty() {}
    }
}

#[test]
fn who_is_to_begin_with_a_header_and_does_not_is_refused_at_once() {
    let mut proxied = ProxiedServer::start("refused", &[]);
    let mut log = proxied.server.log_lines();
    let mut bystander = proxied.join_for("192.0.2.7:4000");
    // A check of whether somebody listens is counted, and not worth a warning.
    drop(proxied.begin(b""));
    while proxied.refused_count() == 0 {}
    let too_long = of_command(0x21, 0x11, &[0; 3000]);
    let bad: [&[u8]; 6] = [
        b"\x05hello",
        b"\r\n\r\nhello",
        b"PROXY TCP5 ",
        b"PROXY TCP4 here there 1 2\r\n",
        &of_command(0x21, 0xf1, &[0; 12]),
        &too_long[..16],
    ];
    for (count, bytes) in (2..).zip(bad) {
        // `PROXY TCP5 ` alone may go on.
        let mut client = proxied.begin(bytes);
        if count == 4 {
            client.send_raw(b"1.1.1.1 1.1.1.1 1 1\r\n");
        }
        assert!(client.is_closed(), "{bytes:?}");
        assert_eq!(proxied.refused_count(), count);
    }
    bystander.send(b"still here");
    assert_eq!(bystander.receive(), b"still here");
    assert_eq!(proxied.addresses().len(), 1);
    let line = log.next().unwrap();
    for part in [
        "WARN",
        "proxy=127.0.0.1:",
        "does not begin with a PROXY header",
    ] {
        assert!(line.contains(part), "{line}");
    }
    let (_, state) = proxied.ask("state");
    assert_eq!(state["state"]["accepted"], 1);
    // Once is enough for a while.
    proxied.server.signal(Signal::USR1);
    let line = log.next().unwrap();
    assert!(line.contains("somebody asked for the state"), "{line}");
    assert!(line.contains("refused_for=no_proxy_header:7"), "{line}");
}

#[test]
fn a_header_that_does_not_come_in_time_is_none() {
    let proxied = ProxiedServer::start("late", &["--proxy-timeout", "200ms"]);
    for bytes in [
        &b""[..],
        b"\r\n\r\n",
        b"PROXY ",
        &header("192.0.2.7:4000")[..27],
    ] {
        assert!(proxied.begin(bytes).is_closed(), "{bytes:?}");
    }
    assert_eq!(proxied.refused_count(), 4);
    proxied.join_for("192.0.2.7:4000");
}

#[test]
fn others_are_served_without_a_header_and_theirs_is_a_message() {
    let server = Server::start_with(&["--proxy-from", "192.0.2.0/24,2001:db8::/32"]);
    let mut client = server.join(b"hello");
    // 13 bytes and a message, 2 empty ones, and so on.
    client.send_raw(&of_command(0x20, 0, b""));
    assert_eq!(client.receive(), b"\n\r\n\0\r\nQUIT\n\x20\0");
    assert_eq!(client.receive(), b"");
    assert_eq!(client.receive(), b"");
}

#[test]
fn limits_are_for_clients_and_not_for_their_proxy() {
    let proxied = ProxiedServer::start("limits", &["--max-clients-per-ip", "1"]);
    let mut first = proxied.join_for("192.0.2.7:4000");
    let _second = proxied.join_for("192.0.2.8:4000");
    let third = [&header("192.0.2.7:4001")[..], b"\x05hello"].concat();
    assert!(proxied.begin(&third).is_closed());
    let (_, last) = proxied.ask("state");
    assert_eq!(last["state"]["refused"]["full_for_address"], 1);
    first.end_sending();
    while first.try_receive().is_some() {}
    while proxied.addresses().len() > 1 {}
    proxied.join_for("192.0.2.7:4002");
}

#[test]
fn proxies_at_a_unix_socket_are_believed_where_they_are_listed() {
    let path = SocketPath::new("proxies");
    let address = path.address();
    let proxied = ProxiedServer::start("proxies", &["--proxy-from", "unix", "--listen", &address]);
    let mut client = UnixClient::connect(&path.0);
    let bytes = [&header("192.0.2.7:4000")[..], b"\x05hello"].concat();
    client.stream.write_all(&bytes).unwrap();
    assert_eq!(client.receive(), b"hello");
    assert_eq!(proxied.addresses(), ["192.0.2.7:4000"]);
    let mut other = UnixClient::connect(&path.0);
    other.send(b"hello");
    let mut rest = Vec::new();
    let _ = other.stream.read_to_end(&mut rest);
    assert!(rest.is_empty());
    assert_eq!(proxied.refused_count(), 1);
}

#[test]
fn proxies_are_set_in_the_configuration_too() {
    let path = SocketPath::new("proxies-file");
    for (text, expected) in [
        (
            "['192.0.2.7', '2001:db8::/64']",
            r#"["192.0.2.7", "2001:db8::/64"]"#,
        ),
        ("'192.0.2.7,unix'", r#"["192.0.2.7", "unix"]"#),
    ] {
        let text = format!("proxy-from = {text}\nproxy-timeout = '3s'");
        fs::write(&path.0, text).unwrap();
        let mut command = chat_server();
        command.arg("--config").arg(&path.0).arg("--check-config");
        let output = run(&mut command, b"");
        let printed = String::from_utf8(output.stdout).unwrap();
        let line = format!("proxy-from = {expected}\n");
        assert!(printed.contains(&line), "{printed}");
        assert!(printed.contains("proxy-timeout = \"3s\"\n"), "{printed}");
    }
    fs::write(&path.0, "proxy-from = 'somewhere'").unwrap();
    let output = run(chat_server().arg("--config").arg(&path.0), b"");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr.contains("proxy-from: invalid value 'somewhere'"),
        "{stderr}"
    );
}

#[cfg(feature = "tls")]
#[test]
fn a_header_comes_before_tls() {
    use crate::tls_util::{TlsClient, TlsServer};

    let mut tls = TlsServer::start(&["--proxy-from", "127.0.0.1", "--log", "debug"]);
    let mut log = tls.server.log_lines();
    let config = tls.authority.client_config(None);
    let mut client = TlsClient::connect_after(tls.address, config, &header("192.0.2.7:4000"));
    client.send(b"secure");
    assert_eq!(client.receive(), b"secure");
    let line = log.find(|line| line.contains("connected")).unwrap();
    assert!(line.contains("peer=192.0.2.7:4000"), "{line}");
    // Without one, the hello of TLS is no header.
    let error = tls.connect().refused();
    assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock);
}
