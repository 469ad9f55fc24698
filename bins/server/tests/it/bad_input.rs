use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use socket2::{Domain, SockRef, Socket, Type};

use crate::util::{Client, Server, chat_server, run};

/// Resets a client's connection: the server sees an error and not an end.
fn reset(client: Client) {
    SockRef::from(&client.stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
}

#[test]
fn an_address_in_use_is_a_clear_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let output = run(chat_server().arg(&address), b"");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr.starts_with(&format!("error: cannot listen on {address}: "))
            && stderr.contains("choose another port"),
        "{stderr}"
    );
    assert_eq!(stderr.lines().count(), 1);
    assert!(output.stdout.is_empty());
}

#[test]
fn an_address_that_is_none_is_a_usage_error() {
    for arguments in [
        &["localhost"][..],
        &["127.0.0.1"],
        &["127.0.0.1:99999"],
        &["--max-clients", "0"],
        &["[::1]"],
        &["::1:8080"],
        &["127.0.0.1:1", "--listen", "127.0.0.1:1"],
        &["unix:/a", "--listen", "unix:/a", "--check-config"],
    ] {
        let output = run(chat_server().args(arguments), b"");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(
            output.stdout.is_empty() && output.stderr.starts_with(b"error: "),
            "{arguments:?}"
        );
    }
}

/// Connects from another address of this machine.
fn connect_from(address: &str, server: &Server) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let address: SocketAddr = format!("{address}:0").parse().unwrap();
    socket.bind(&address.into()).unwrap();
    socket.connect(&server.address.into()).unwrap();
    Client::of(socket.into())
}

#[test]
fn an_address_has_no_more_clients_than_it_may_have() {
    let mut server = Server::start_with(&["--max-clients-per-ip", "2"]);
    let clients = [server.join(b"one"), server.join(b"two")];
    for _ in 0..10 {
        assert!(server.connect().is_closed());
    }
    let mut other = connect_from("127.0.0.2", &server);
    other.send(b"from another");
    assert_eq!(other.receive(), b"from another");
    let descriptors = server.descriptor_count();
    drop(clients);
    server.wait_for_descriptors(descriptors - 2);
    server.assert_serves();

    server.signal(Signal::USR1);
    let mut log = server.log_lines();
    let told = "a client is refused: its address has as many clients as one may have";
    assert!(log.next().unwrap().contains(told));
    let state = log.next().unwrap();
    assert!(
        state.contains("refused=10 refused_for=full_for_address:10 tls_refused=0"),
        "{state}"
    );
}

#[test]
fn an_address_does_not_connect_more_often_than_it_may() {
    let mut server = Server::start_with(&["--connect-rate-per-ip", "5"]);
    let start = Instant::now();
    let mut clients: Vec<Client> = (0..50).map(|_| server.connect()).collect();
    let mut other = connect_from("127.0.0.2", &server);
    other.send(b"from another");
    assert_eq!(other.receive(), b"from another");
    clients.retain_mut(|client| {
        client.stream.write_all(b"\0").is_ok() && client.receive_until_cut().is_some()
    });
    // Five in each second that connecting took a part of: on a busy machine, those are several.
    let count_max = 5 * (start.elapsed().as_secs() as usize + 2);
    assert!(
        (5..=count_max).contains(&clients.len()),
        "{}",
        clients.len()
    );
    server.signal(Signal::USR1);
    let state = server
        .log_lines()
        .find(|line| line.contains("somebody asked for the state"))
        .unwrap();
    assert!(
        state.contains(&format!("refused_for=too_fast:{}", 50 - clients.len())),
        "{state}"
    );
}

#[test]
fn more_clients_than_there_may_be_are_closed_and_the_others_served() {
    let mut server = Server::start_with(&["--max-clients", "4"]);
    let mut clients: Vec<Client> = (0..4_u8).map(|i| server.join(&[i])).collect();
    for _ in 0..100 {
        assert!(server.connect().is_closed());
    }
    clients[0].send(b"still here");
    for client in &mut clients {
        while client.receive() != b"still here" {}
    }
    // One leaves, and there is room for one.
    let descriptor_count = server.descriptor_count();
    clients.pop();
    server.wait_for_descriptors(descriptor_count - 1);
    server.assert_serves();
}

#[test]
fn more_clients_than_descriptors_are_closed_and_nothing_spins() {
    let server = Server::spawn_limited("ulimit -n 40");
    let mut clients: Vec<Client> = (0..8_u8).map(|i| server.join(&[i])).collect();
    let surplus: Vec<Client> = (0..60).map(|_| server.connect()).collect();
    for mut client in surplus {
        assert!(client.is_closed());
    }
    let before = server.cpu_time();
    std::thread::sleep(Duration::from_millis(300));
    assert!(
        server.cpu_time() - before < Duration::from_millis(100),
        "it spins"
    );
    clients[7].send(b"still here");
    for client in &mut clients {
        while client.receive() != b"still here" {}
    }
}

#[test]
fn more_clients_than_the_system_allows_are_refused_at_the_start() {
    let output = run(
        chat_server().args(["127.0.0.1:0", "--max-clients", "4000000000"]),
        b"",
    );
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr
            .starts_with("error: 4000000000 clients need 4000000032 open files, but the limit is "),
        "{stderr}"
    );
}

#[test]
fn a_log_that_is_too_long_for_the_memory_is_refused_at_the_start() {
    for more in [&[][..], &["--check-config"]] {
        let args = ["127.0.0.1:0", "--log-bytes", "1000TiB"];
        let output = run(chat_server().args(args).args(more), b"");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(
            stderr.starts_with("error: a log of 1048576000 MiB is too much for ")
                && stderr.contains("; choose --log-bytes "),
            "{stderr}"
        );
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn garbage_is_messages() {
    let mut server = Server::start();
    let mut witness = server.join(b"witness");
    let mut garbage = server.connect();
    // Any bytes are a valid stream, an HTTP request for one: `G` announces a body of 71 bytes.
    garbage.send_raw(
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: a browser that has lost its way\r\n\r\n",
    );
    assert_eq!(witness.receive().len(), usize::from(b'G'));
    reset(garbage);
    server.assert_serves();
}

#[test]
fn a_client_reset_inside_a_message_harms_nobody() {
    let mut server = Server::start();
    let mut witness = server.join(b"witness");
    for _ in 0..50 {
        let mut client = server.join(b"in");
        assert_eq!(witness.receive(), b"in");
        client.send_raw(b"\xFFbegun");
        reset(client);
    }
    server.assert_serves();
    assert_eq!(witness.receive(), b"are you there?");
}

#[test]
fn clients_that_never_read_and_vanish_leave_nothing_behind() {
    let server = Server::start();
    let descriptor_count = server.descriptor_count();
    let stalled: Vec<Client> = (0..20_u8).map(|i| server.join(&[i])).collect();
    let mut talker = server.join(b"talker");
    for _ in 0..400 {
        for _ in 0..100 {
            talker.send(&[b'x'; 250]);
        }
        for _ in 0..100 {
            assert_eq!(talker.receive(), [b'x'; 250]);
        }
    }
    for client in stalled {
        reset(client);
    }
    drop(talker);
    server.wait_for_descriptors(descriptor_count);
}
