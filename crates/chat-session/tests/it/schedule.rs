use proptest::prelude::*;

use crate::util::{Client, Server, message, numbers};

/// One step of a client.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// It sends `len` more bytes of its stream.
    Send { client: usize, len: usize },
    /// It takes what was written to it and has room for `room` bytes more.
    Receive { client: usize, room: usize },
    /// The sessions are polled.
    Run,
}

const CLIENT_COUNT: usize = 3;

fn step() -> impl Strategy<Value = Step> {
    let client = 0..CLIENT_COUNT;
    prop_oneof![
        (client.clone(), 1..700_usize).prop_map(|(client, len)| Step::Send { client, len }),
        (client, prop_oneof![0..300_usize, Just(usize::MAX)])
            .prop_map(|(client, room)| Step::Receive { client, room }),
        Just(Step::Run),
    ]
}

/// Returns a client's stream: messages numbered from `client << 32`.
fn stream(client: usize) -> Vec<u8> {
    (0..60)
        .flat_map(|i| {
            message(
                ((client as u64) << 32) + i,
                8 + (i as usize * 37 + client) % 248,
            )
        })
        .collect()
}

/// Plays the steps, then lets everybody receive everything; returns what each client received.
fn play(mut server: Server, room: usize, steps: &[Step]) -> Vec<Vec<u64>> {
    let clients: Vec<Client> = (0..CLIENT_COUNT)
        .map(|_| server.connect_with(room))
        .collect();
    // From now on they are waited for.
    server.run();
    let mut unsent: Vec<Vec<u8>> = (0..CLIENT_COUNT).map(stream).collect();
    let mut received = vec![Vec::new(); CLIENT_COUNT];
    for step in steps {
        match *step {
            Step::Send { client, len } => {
                let len = len.min(unsent[client].len());
                clients[client].send(&unsent[client].drain(..len).collect::<Vec<u8>>());
            }
            Step::Receive { client, room } => {
                received[client].extend(clients[client].receive_with(room))
            }
            Step::Run => server.run(),
        }
    }
    for (client, unsent) in clients.iter().zip(&unsent) {
        client.send(unsent);
    }
    for _ in 0..2 {
        for (client, received) in clients.iter().zip(&mut received) {
            received.extend(client.receive_with(usize::MAX));
        }
        server.run();
    }
    let published = server.hub.stats().published;
    assert_eq!(published, 60 * CLIENT_COUNT as u64);
    clients
        .iter()
        .zip(received)
        .map(|(client, received)| numbers(&[received, client.receive()].concat()))
        .collect()
}

/// Tells whether `part` is a subsequence of `whole`.
fn is_subsequence(part: &[u64], whole: &[u64]) -> bool {
    let mut whole = whole.iter();
    part.iter().all(|number| whole.any(|other| other == number))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn clients_that_keep_up_receive_the_same(steps in prop::collection::vec(step(), 0..80)) {
        let received = play(Server::new(1 << 20), usize::MAX, &steps);
        check_complete(&received);
    }

    #[test]
    fn clients_that_are_waited_for_receive_the_same(steps in prop::collection::vec(step(), 0..80)) {
        // The log is small, and nobody's grace is ever over.
        let received = play(Server::with_clock(8192), 300, &steps);
        check_complete(&received);
    }

    #[test]
    fn clients_that_do_not_keep_up_receive_subsequences(
        mut steps in prop::collection::vec(step(), 0..80),
    ) {
        // The log is so small that clients lose messages; the reference is a client of the same hub
        // that never does.
        steps.retain(|step| !matches!(step, Step::Receive { client: 0, .. }));
        let received = play(Server::new(8192), usize::MAX, &steps);
        prop_assert_eq!(received[0].len(), 180, "client 0 always keeps up");
        for other in &received[1..] {
            prop_assert!(is_subsequence(other, &received[0]));
        }
    }
}

/// Checks that every client received every message, in one order that keeps each sender's.
#[track_caller]
fn check_complete(received: &[Vec<u64>]) {
    assert_eq!(received[0].len(), 180);
    assert!(
        received.iter().all(|other| *other == received[0]),
        "one order for all"
    );
    for client in 0..CLIENT_COUNT as u64 {
        let own = received[0].iter().filter(|&number| number >> 32 == client);
        assert!(own.is_sorted());
    }
}
