use std::thread;

use rustix::process::Signal;

use crate::cluster_util::Node;
use crate::nats::{Nats, is_installed};
use crate::util::{chat_server, run};

#[test]
fn clients_of_all_servers_see_one_order() {
    if !is_installed() {
        return;
    }
    const COUNT: usize = 2000;
    let nats = Nats::start();
    let nodes = ["a", "b"].map(|name| Node::start(&nats, name));
    let mut clients: Vec<_> = (0..4)
        .map(|number| nodes[number % 2].server.connect())
        .collect();
    // Each is known to be served before anybody chats.
    for (number, client) in clients.iter_mut().enumerate() {
        let hello = format!("hello {number}").into_bytes();
        client.send(&hello);
        while client.receive() != hello {}
    }
    let last = b"hello 3".to_vec();
    for client in &mut clients[..3] {
        while client.receive() != last {}
    }
    let logs: Vec<Vec<Vec<u8>>> = thread::scope(|scope| {
        let running: Vec<_> = clients
            .iter_mut()
            .enumerate()
            .map(|(number, client)| {
                let mut sending = client.stream.try_clone().unwrap();
                scope.spawn(move || {
                    for index in 0..COUNT {
                        let body = format!("{number} {index}");
                        let mut message = vec![u8::try_from(body.len()).unwrap()];
                        message.extend_from_slice(body.as_bytes());
                        std::io::Write::write_all(&mut sending, &message).unwrap();
                    }
                });
                scope.spawn(move || (0..4 * COUNT).map(|_| client.receive()).collect())
            })
            .collect();
        running.into_iter().map(|it| it.join().unwrap()).collect()
    });
    for log in &logs[1..] {
        assert!(*log == logs[0], "two clients see two orders");
    }
    for number in 0..4 {
        let prefix = format!("{number} ").into_bytes();
        let own = logs[0].iter().filter(|body| body.starts_with(&prefix));
        let sent = (0..COUNT).map(|index| format!("{number} {index}").into_bytes());
        assert!(own.cloned().eq(sent), "{number} has another order");
    }
    let figures = nodes[0].figures();
    assert!(figures["cluster_own_batches_total"] > 0.0);
    assert!(figures["cluster_round_trip_seconds_sum"] > 0.0);
    let counts = [
        "cluster_round_trip_seconds_bucket{le=\"+Inf\"}",
        "cluster_round_trip_seconds_count",
        "cluster_own_batch_bytes_bucket{le=\"65536.0\"}",
        "cluster_own_batch_bytes_bucket{le=\"+Inf\"}",
        "cluster_own_batch_bytes_count",
    ];
    for name in counts {
        assert_eq!(
            figures[name], figures["cluster_own_batches_total"],
            "{name}"
        );
    }
    let sizes = figures["cluster_own_batch_bytes_sum"];
    assert_eq!(sizes, figures["cluster_own_bytes_total"]);
    assert_eq!(figures["cluster_serving"], 1.0);
    assert_eq!(figures["cluster_epoch"], 1.0);
    assert_eq!(figures["cluster_outbox_bytes"], 0.0);
}

#[test]
fn the_page_on_clusters_names_each_figure_and_option() {
    let page = include_str!("../../../../docs/CLUSTERS.md");
    let help = run(chat_server().arg("--help"), b"").stdout;
    let help = String::from_utf8(help).unwrap();
    let words = help.split(|char: char| char.is_whitespace() || matches!(char, ',' | ';' | '.'));
    let options: Vec<_> = words.filter(|word| word.starts_with("--cluster")).collect();
    assert!(options.len() > 15, "{options:?}");
    for option in options {
        assert!(page.contains(option), "the page has no {option}");
    }
    if !is_installed() {
        return;
    }
    let nats = Nats::start();
    let figures = Node::start(&nats, "a").figures();
    let names = figures.keys().map(|line| figure_name(line));
    let names: Vec<_> = names.filter(|name| name.starts_with("cluster")).collect();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        assert!(
            page.contains(&format!("`chat_server_{name}`")),
            "the page has no {name}"
        );
    }
}

/// Returns the name of the figure that a line is of: a histogram has several.
fn figure_name(line: &str) -> &str {
    let name = line.split('{').next().unwrap_or(line);
    let parts = ["_bucket", "_sum", "_count"];
    let whole = parts.iter().find_map(|part| name.strip_suffix(part));
    whole.unwrap_or(name)
}

#[test]
fn a_client_that_ends_sending_gets_all_to_its_last() {
    if !is_installed() {
        return;
    }
    let nats = Nats::start();
    let nodes = ["a", "b"].map(|name| Node::start(&nats, name));
    let mut other = nodes[1].server.join(b"other");
    for round in 0..20 {
        let mut client = nodes[0].server.join(b"hello");
        let last = format!("last {round}").into_bytes();
        client.send(b"one");
        client.send(&last);
        client.end_sending();
        // What comes after its last message is not for it.
        other.send(b"after");
        let received = client.receive_all();
        assert!(received.contains(&last), "round {round}");
        let position = received.iter().position(|body| *body == last);
        assert_eq!(position, Some(received.len() - 1), "round {round}");
    }
    // One that said nothing is closed at once.
    let mut silent = nodes[0].server.connect();
    silent.end_sending();
    silent.receive_all();
}

#[test]
fn one_that_leaves_has_its_messages_reach_the_others() {
    if !is_installed() {
        return;
    }
    let nats = Nats::start();
    let leaving = Node::start(&nats, "a");
    let staying = Node::start(&nats, "b");
    let mut listener = staying.server.join(b"listening");
    let mut client = leaving.server.join(b"hello");
    while listener.receive() != b"hello" {}
    for index in 0..1000 {
        client.send(format!("{index}").as_bytes());
    }
    leaving.server.signal(Signal::TERM);
    // What the server has read came to everybody: as much as the client sees itself.
    let echoes = client.receive_all();
    let heard: Vec<_> = echoes.iter().map(|_| listener.receive()).collect();
    assert_eq!(heard, echoes);
    assert_eq!(leaving.server.wait().0.code(), Some(0));
    let again = Node::start(&nats, "a");
    assert_eq!(again.figures()["cluster_epoch"], 2.0);
    again.server.join(b"again");
    assert_eq!(listener.receive(), b"again");
}
