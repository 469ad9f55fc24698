use crate::util::{Server, message, numbers};

#[test]
fn every_message_goes_to_every_client_its_sender_included() {
    let mut server = Server::new(1 << 20);
    let clients: Vec<_> = (0..3).map(|_| server.connect()).collect();
    clients[0].send(b"\x05hello");
    server.run();
    clients[2].send(b"\0\x02hi");
    server.run();
    for client in &clients {
        assert_eq!(client.receive(), b"\x05hello\0\x02hi");
    }
}

#[test]
fn a_message_may_arrive_cut_at_any_byte() {
    let stream = [
        message(1, 8),
        b"\0".to_vec(),
        message(2, 255),
        message(3, 100),
    ]
    .concat();
    for cut in 0..=stream.len() {
        let mut server = Server::new(1 << 20);
        let client = server.connect();
        client.send(&stream[..cut]);
        server.run();
        client.send(&stream[cut..]);
        server.run();
        assert_eq!(client.receive(), stream, "cut at {cut}");
    }
}

#[test]
fn messages_may_arrive_byte_by_byte_from_clients_at_once() {
    let mut server = Server::new(1 << 20);
    let clients = [server.connect(), server.connect()];
    let streams = [message(1, 77), message(2, 77)];
    for (first, second) in streams[0].iter().zip(&streams[1]) {
        clients[0].send(&[*first]);
        clients[1].send(&[*second]);
        server.run();
    }
    let received = clients.map(|client| numbers(&client.receive()));
    assert_eq!(received[0].len(), 2, "the messages are not mixed up");
    assert_eq!(received[0], received[1]);
}

#[test]
fn a_socket_may_take_any_number_of_bytes_at_a_time() {
    let stream: Vec<u8> = (0..20)
        .flat_map(|number| message(number, 8 + 12 * number as usize))
        .collect();
    for room in [1, 2, 7, 100, 256, 1000] {
        let mut server = Server::new(1 << 20);
        let sender = server.connect();
        let receiver = server.connect_with(room);
        sender.send(&stream);
        let mut received = Vec::new();
        for _ in 0..=stream.len() / room {
            server.run();
            received.extend(receiver.receive_with(room));
        }
        assert_eq!(received, stream, "{room} bytes at a time");
    }
}

#[test]
fn interrupted_reads_and_writes_are_tried_again() {
    let mut server = Server::new(1 << 20);
    let client = server.connect();
    client.wire().read_errors = vec![std::io::ErrorKind::Interrupted; 3];
    client.wire().write_errors = vec![std::io::ErrorKind::Interrupted; 3];
    client.send(b"\x05hello");
    server.run();
    assert_eq!(client.receive(), b"\x05hello");
}

#[test]
fn what_is_written_is_flushed_once() {
    let mut server = Server::new(1 << 20);
    let client = server.connect();
    client.send(b"\x05hello");
    server.run();
    assert!(!client.receive().is_empty() && !client.wire().is_unflushed);
    let flush_count = client.wire().flush_count;
    client.send(b"\x05hel");
    server.run();
    assert_eq!(client.wire().flush_count, flush_count);
}

#[test]
fn a_client_misses_nothing_after_it_connected() {
    let mut server = Server::new(1 << 20);
    let early = server.connect();
    early.send(&message(1, 9));
    server.run();
    // The session exists, though it has not been polled.
    let late = server.connect();
    early.send(&message(2, 9));
    server.run();
    assert_eq!(numbers(&late.receive()), [2]);
}
