use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use socket2::SockRef;

use crate::util::{Client, Server};

/// Connects clients while the server does not run at all, as if all came at the same instant.
fn connect_at_once(server: &Server, count: usize) -> Vec<Client> {
    server.signal(Signal::STOP);
    let clients = (0..count).map(|_| server.connect()).collect();
    server.signal(Signal::CONT);
    clients
}

#[test]
fn all_of_many_clients_that_connect_at_once_are_served() {
    let server = Server::start();
    let mut clients = connect_at_once(&server, 400);
    for client in &mut clients {
        client.send(b"hello");
        assert_eq!(client.receive(), b"hello");
    }
}

#[test]
fn the_descriptors_run_out_while_many_connect_at_once_and_are_given_back() {
    let mut server = Server::spawn_limited("ulimit -n 60");
    let clients = connect_at_once(&server, 400);
    let is_served = |mut client: Client| {
        // It may have been closed before.
        let sent = client.stream.write_all(b"\x01x");
        sent.is_ok() && client.receive_until_cut().is_some()
    };
    let served_count = clients.into_iter().map(is_served).filter(|is| *is).count();
    assert!(
        (1..400).contains(&served_count),
        "{served_count} were served"
    );
    server.assert_serves();
}

#[test]
fn a_storm_of_clients_stops_neither_the_chat_nor_the_end() {
    let server = Server::start();
    let mut sender = server.join(b"sender");
    let mut receiver = server.join(b"receiver");
    let is_over = AtomicBool::new(false);
    let address = server.address;
    thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| {
                while !is_over.load(Ordering::SeqCst) {
                    connect_and_reset(address);
                }
            });
        }
        for number in 0..200_u8 {
            sender.send(&[number]);
            while receiver.receive() != [number] {}
        }
        server.signal(Signal::TERM);
        let (status, _) = server.wait();
        is_over.store(true, Ordering::SeqCst);
        assert_eq!(status.code(), Some(0));
    });
}

fn connect_and_reset(address: SocketAddr) {
    if let Ok(stream) = TcpStream::connect(address) {
        SockRef::from(&stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }
}

#[test]
fn the_system_holds_little_for_a_client_that_never_reads() {
    let server = Server::start();
    let stalled = server.join(b"stalled");
    let mut talker = server.join(b"talker");
    for _ in 0..200 {
        talker.send_raw(&[255; 256].repeat(100));
        for _ in 0..100 {
            assert_eq!(talker.receive(), [255; 255]);
        }
    }
    let unsent = stalled.unsent_len().expect("it is connected");
    assert!((1..200_000).contains(&unsent), "{unsent} bytes are held");
}

#[test]
fn clients_that_vanish_at_once_leave_nothing_behind() {
    let server = Server::start();
    let descriptor_count = server.descriptor_count();
    for client in connect_at_once(&server, 400) {
        drop(client);
    }
    server.wait_for_descriptors(descriptor_count);
    let mut late = server.join(b"late");
    late.end_sending();
    assert_eq!(late.stream.read(&mut [0]).unwrap(), 0);
}
