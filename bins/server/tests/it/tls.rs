use std::io::Write;
use std::net::TcpStream;
use std::sync::Barrier;
use std::thread;

use rustix::process::Signal;

use crate::tls_util::{TlsClient, TlsServer};
use crate::util::Client;

#[test]
fn messages_over_tls_and_plain_have_one_order() {
    const COUNT: usize = 300;
    let tls = TlsServer::start(&[]);
    let mut secure: Vec<_> = (0..2).map(|_| tls.join(b"hello")).collect();
    let mut plain: Vec<_> = (0..2).map(|_| tls.server.join(b"hello")).collect();
    let barrier = Barrier::new(secure.len() + plain.len());
    let bodies = |who: usize| (0..COUNT).map(move |index| format!("{who} says {index}"));
    let received: Vec<Vec<Vec<u8>>> = thread::scope(|scope| {
        let secure = secure.iter_mut().enumerate().map(|(who, client)| {
            let barrier = &barrier;
            scope.spawn(move || {
                barrier.wait();
                bodies(who).for_each(|body| client.send(body.as_bytes()));
                let all = std::iter::from_fn(|| Some(client.receive()));
                all.filter(|body| body != b"hello")
                    .take(4 * COUNT)
                    .collect()
            })
        });
        let plain = plain.iter_mut().enumerate().map(|(who, client)| {
            let barrier = &barrier;
            scope.spawn(move || {
                barrier.wait();
                bodies(2 + who).for_each(|body| client.send(body.as_bytes()));
                let all = std::iter::from_fn(|| Some(client.receive()));
                all.filter(|body| body != b"hello")
                    .take(4 * COUNT)
                    .collect()
            })
        });
        let running: Vec<_> = secure.chain(plain).collect();
        running.into_iter().map(|run| run.join().unwrap()).collect()
    });
    for other in &received {
        assert!(*other == received[0], "all have the same order");
    }
    for who in 0..4 {
        let prefix = format!("{who} says ");
        let said = received[0]
            .iter()
            .filter(|body| body.starts_with(prefix.as_bytes()));
        assert!(
            said.eq(bodies(who)
                .map(String::into_bytes)
                .collect::<Vec<_>>()
                .iter())
        );
    }
}

#[test]
fn a_client_that_ends_its_sending_side_gets_its_echo_and_the_end() {
    let tls = TlsServer::start(&[]);
    let mut client = tls.join(b"hello");
    let bodies: Vec<_> = (0..1000).map(|index| format!("message {index}")).collect();
    for body in &bodies {
        client.send(body.as_bytes());
    }
    client.end_sending();
    for body in &bodies {
        assert_eq!(client.receive(), body.as_bytes());
    }
    assert_eq!(
        client.try_receive().unwrap(),
        None,
        "and then it is told the end"
    );
}

#[test]
fn a_client_that_reads_late_loses_nothing_when_all_wait_for_it() {
    let tls = TlsServer::start(&["--drop-policy", "block", "--log-bytes", "64KiB"]);
    let mut late = tls.join(b"late");
    let mut sender = tls.server.join(b"sender");
    let mut own = Client::of(sender.stream.try_clone().unwrap());
    let body = |index: u32| [&index.to_be_bytes()[..], &[b'x'; 251]].concat();
    const COUNT: u32 = 10_000;
    thread::scope(|scope| {
        scope.spawn(|| (0..COUNT).for_each(|index| sender.send(&body(index))));
        scope.spawn(|| (0..COUNT).for_each(|index| assert_eq!(own.receive(), body(index))));
        assert_eq!(late.receive(), b"sender");
        (0..COUNT).for_each(|index| assert_eq!(late.receive(), body(index)));
    });
}

#[test]
fn the_end_of_the_server_is_told_to_clients_that_have_everything() {
    let tls = TlsServer::start(&["--drain-timeout", "600"]);
    let mut client = tls.join(b"hello");
    let mut plain = tls.server.join(b"last");
    // One that has begun its handshake, and one that has not, hold nobody up.
    let mut shaking = TcpStream::connect(tls.address).unwrap();
    shaking.write_all(&[22, 3, 1]).unwrap();
    let _silent = TcpStream::connect(tls.address).unwrap();
    tls.server.signal(Signal::TERM);
    assert_eq!(client.receive(), b"last");
    assert_eq!(client.try_receive().unwrap(), None);
    drop(client);
    assert_eq!(plain.try_receive(), None);
    drop(plain);
    assert_eq!(tls.server.wait().0.code(), Some(0));
}

#[test]
fn a_new_certificate_is_for_clients_that_come_after_the_signal() {
    let mut tls = TlsServer::start(&["--log", "info"]);
    let mut log = tls.server.log_lines();
    let mut old = tls.join(b"old");
    let old_config = tls.authority.client_config(None);
    tls.renew();
    tls.server.signal(Signal::HUP);
    log.find(|line| line.contains("read the certificate again"))
        .expect("it is told");
    assert!(
        TlsClient::connect(tls.address, old_config)
            .refused()
            .to_string()
            .contains("UnknownIssuer")
    );
    tls.join(b"new");
    assert_eq!(old.receive(), b"new", "who was there stays");

    tls.folder.write("key.pem", "half of it");
    tls.server.signal(Signal::HUP);
    log.find(|line| line.contains("the certificate stays as it was"))
        .expect("it is told");
    tls.join(b"newer");
    assert_eq!(old.receive(), b"newer");
}

#[test]
fn a_client_that_ends_without_saying_so_has_said_whole_messages() {
    let tls = TlsServer::start(&[]);
    let mut other = tls.server.join(b"other");
    let mut client = tls.join(b"hello");
    assert_eq!(other.receive(), b"hello");
    client.stream.write_all(b"\x04last\x05unfi").unwrap();
    client.stream.flush().unwrap();
    drop(client.stream.sock);
    assert_eq!(other.receive(), b"last");
    other.send(b"that is all");
    assert_eq!(other.receive(), b"that is all");
}

#[test]
fn the_first_line_of_the_log_has_the_address_of_tls() {
    let tls = TlsServer::start(&["--log", "info"]);
    let (plain, secure) = (tls.server.address, tls.address);
    let log = tls.server.end();
    let serving = log.lines().find(|line| line.contains("serving"));
    let serving = serving.unwrap_or_else(|| panic!("{log}"));
    let expected = format!("addresses=\"{plain}\" tls_addresses=\"{secure}\" ");
    assert!(serving.contains(&expected), "{serving}");
}
