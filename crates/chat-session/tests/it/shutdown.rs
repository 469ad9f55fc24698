use crate::util::{Client, Server, message, numbers};

#[test]
fn what_was_read_is_delivered_whenever_the_hub_closes() {
    // Every step of serving floods that wait for each other all the time.
    let waiting_count: usize = (0..200).map(check).sum();
    assert!(waiting_count > 200, "{waiting_count} sessions waited");
}

#[test]
fn what_was_read_while_publishers_wait_is_delivered() {
    for capacity in [8 * 1024, 64 * 1024] {
        let mut server = Server::with_clock(capacity);
        let stalled = server.connect_with(0);
        let clients = clients(&mut server, 200);
        server.run();
        assert!(server.hub.stats().waiting_publisher_count > 0);
        server.hub.close();
        server.run();
        stalled.receive_with(usize::MAX);
        server.run();
        check_delivered(&clients, &stalled.receive());
    }
}

#[test]
fn what_is_being_read_when_the_hub_closes_is_delivered() {
    for read_count in 1..60 {
        let mut server = Server::new(8 * 1024);
        let clients = clients(&mut server, 300);
        clients[2].wire().closes_hub = Some((read_count, server.hub.clone()));
        server.run();
        assert_eq!(clients[2].receive(), clients[0].wire().outgoing);
        assert!(server.hub.stats().published < 300 * CLIENT_COUNT);
        check_delivered(&clients, &clients[0].receive());
    }
}

/// Closes the hub after the sessions were polled `step_count` times. Returns how many of them
/// waited for their turn to publish.
#[track_caller]
fn check(step_count: usize) -> usize {
    let mut server = Server::new(8 * 1024);
    let clients = clients(&mut server, 400);
    for _ in 0..step_count {
        server.step();
    }
    let stats = server.hub.stats();
    assert!(stats.published < 400 * CLIENT_COUNT, "the floods go on");
    server.hub.close();
    server.run();
    let received = clients[0].receive();
    for client in &clients[1..] {
        assert!(client.receive() == received, "all get the same");
    }
    check_delivered(&clients, &received);
    for mut client in clients {
        assert!(client.end().is_none(), "it waits for the client to close");
        client.end_sending();
        server.run();
        let summary = client.end().unwrap().unwrap();
        assert_eq!(summary.delivered, numbers(&received).len() as u64);
        assert_eq!(summary.dropped, 0);
    }
    stats.waiting_publisher_count
}

/// Connects clients, each of which has sent `message_count` messages of all lengths.
fn clients(server: &mut Server, message_count: u64) -> Vec<Client> {
    let clients: Vec<Client> = (0..CLIENT_COUNT).map(|_| server.connect()).collect();
    for (client, sender) in clients.iter().zip(0..) {
        client.wire().read_len_max = 700;
        client.send(&stream(sender, message_count));
    }
    clients
}

fn stream(sender: u64, message_count: u64) -> Vec<u8> {
    (0..message_count)
        .flat_map(|i| message(sender << 32 | i, 8 + (i * 37 + sender) as usize % 248))
        .collect()
}

/// Checks that all that sessions took from their streams was delivered, but for the beginning of a
/// message.
#[track_caller]
fn check_delivered(clients: &[Client], received: &[u8]) {
    let received = numbers(received);
    for (client, sender) in clients.iter().zip(0..) {
        let own = received.iter().filter(|&number| number >> 32 == sender);
        let count = own.clone().count() as u64;
        assert!(own.copied().eq((0..count).map(|i| sender << 32 | i)));
        let delivered_len = stream(sender, count).len();
        let next_len = stream(sender, count + 1).len();
        let taken_len = client.wire().taken_len;
        assert!(
            (delivered_len..next_len).contains(&taken_len),
            "of {taken_len} bytes that were read, {delivered_len} were delivered"
        );
    }
}

const CLIENT_COUNT: u64 = 5;
