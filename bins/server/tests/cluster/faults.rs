use rustix::process::Signal;

use crate::cluster_util::{Node, wait_until};
use crate::nats::{Nats, is_installed};

#[test]
fn nats_that_is_killed_and_comes_back_loses_nothing() {
    if !is_installed() {
        return;
    }
    let mut nats = Nats::start();
    let mut nodes = ["a", "b"].map(|name| Node::start(&nats, name));
    let mut log = nodes[0].server.log_lines();
    let mut first = nodes[0].server.join(b"first");
    let other = nodes[1].server.join(b"other");
    while first.receive() != b"other" {}
    let mut clients = [first, other];
    nodes[0].wait_for_ready(true);
    nats.kill();
    for node in &nodes {
        let trouble = node.wait_for_ready(false);
        assert!(trouble.contains("away for"), "{trouble}");
    }
    assert!(log.any(|line| line.contains("the cluster's stream is away")));
    // What is sent now is held, and nobody gets it before all do.
    for index in 0..100 {
        clients[0].send(format!("{index}").as_bytes());
    }
    wait_until(|| (nodes[0].figures()["cluster_outbox_bytes"] == 290.0).then_some(()));
    assert_eq!(nodes[0].figures()["received_messages_total"], 2.0);
    nats.restart();
    for node in &nodes {
        node.wait_for_ready(true);
    }
    assert!(log.any(|line| line.contains("is back after")));
    for client in &mut clients {
        while client.receive() != b"0" {}
        for index in 1..100 {
            assert_eq!(client.receive(), format!("{index}").as_bytes());
        }
    }
    assert_eq!(nodes[0].figures()["cluster_reconnects_total"], 1.0);
}

#[test]
fn of_two_with_one_name_the_first_ends_with_the_reason() {
    if !is_installed() {
        return;
    }
    let nats = Nats::start();
    let mut first = Node::start(&nats, "a");
    let mut log = first.server.log_lines();
    let mut client = first.server.join(b"hello");
    let second = Node::start(&nats, "a");
    assert!(log.any(|line| line.contains("another server with this node's name has taken over")));
    assert_eq!(client.receive_all(), [b""; 0]);
    let (status, _) = first.server.wait();
    assert_eq!(status.code(), Some(3));
    second.server.join(b"still here");
}

#[test]
fn a_stream_that_is_lost_ends_the_servers_with_the_reason() {
    if !is_installed() {
        return;
    }
    let mut nats = Nats::start();
    let mut node = Node::start(&nats, "a");
    let mut log = node.server.log_lines();
    nats.kill();
    nats.lose_files();
    nats.restart();
    assert!(log.any(|line| line.contains("lost, or made anew")));
    assert_eq!(node.server.wait().0.code(), Some(1));
}

#[test]
fn a_server_that_is_killed_comes_back_under_its_name() {
    if !is_installed() {
        return;
    }
    let nats = Nats::start();
    let killed = Node::start(&nats, "a");
    let other = Node::start(&nats, "b");
    let mut listener = other.server.join(b"listening");
    let mut client = killed.server.join(b"acknowledged");
    client.send(b"perhaps");
    killed.server.signal(Signal::KILL);
    let again = Node::start(&nats, "a");
    again.server.join(b"again");
    // What the client has seen is there once, and what it has not may be.
    let mut heard = Vec::new();
    while heard.last().is_none_or(|body| body != b"again") {
        heard.push(listener.receive());
    }
    heard.retain(|body| body != b"perhaps");
    assert_eq!(heard, [&b"acknowledged"[..], b"again"]);
    assert_eq!(again.figures()["cluster_epoch"], 2.0);
}

#[test]
fn a_server_that_ends_while_the_stream_is_away_does_not_hang() {
    if !is_installed() {
        return;
    }
    let mut nats = Nats::start();
    let node = Node::start_with(&nats, "a", &["--drain-timeout", "1s"]);
    let mut client = node.server.join(b"hello");
    nats.kill();
    node.wait_for_ready(false);
    client.send(b"held");
    wait_until(|| (node.figures()["cluster_outbox_bytes"] > 0.0).then_some(()));
    node.server.signal(Signal::TERM);
    assert_eq!(client.receive_all(), [b""; 0]);
    drop(client);
    assert_eq!(node.server.wait().0.code(), Some(0));
}
