use async_nats::jetstream::stream::Config;
use chat_cluster::jetstream::{Login, Secret, State, Storage};

use crate::nats::{Nats, is_installed};
use crate::util::{Joined, send, settings, with_nats};

#[test]
fn a_server_that_is_killed_and_comes_back_loses_nothing() {
    if !is_installed() {
        return;
    }
    let mut nats = Nats::start();
    let mut node = Joined::join(settings(&nats, "a"));
    let mut other = Joined::join(settings(&nats, "b"));
    let mut sender = node.member.sender();
    let mut sent = Vec::new();
    for round in 0..3 {
        for number in 0..50 {
            let body = format!("{round} {number}").into_bytes();
            send(&mut sender, &body);
            sent.push(body);
        }
        nats.kill();
        node.wait_for(|state| matches!(state, State::Away { .. }));
        // What is sent meanwhile waits in the outbox.
        let body = format!("{round} away").into_bytes();
        send(&mut sender, &body);
        sent.push(body);
        nats.restart();
        node.wait_for(State::is_serving);
    }
    let received = node.receive(sent.len());
    assert_eq!(received, sent);
    assert_eq!(other.receive(sent.len()), sent);
    assert_eq!(node.member.figures().reconnects, 3);
}

#[test]
fn a_server_that_does_not_let_the_node_in_any_more_is_told() {
    if !is_installed() {
        return;
    }
    // The configuration includes the file from beside its own directory.
    let name = format!("chat-nats-users-{}", std::process::id());
    let users = std::env::temp_dir().join(&name);
    let set_password = |password: &str| {
        std::fs::write(&users, format!("user: me, password: {password}\n")).unwrap();
    };
    set_password("right");
    let mut nats = Nats::start_with(&format!(
        "jetstream {{ store_dir: \"DIR/js\", max_file: 4G }}\n\
         authorization {{ include ../{name} }}"
    ));
    let secret = std::env::temp_dir().join(format!("chat-nats-secret-{}", std::process::id()));
    std::fs::write(&secret, "right").unwrap();
    let mut settings = settings(&nats, "a");
    settings.login = Login::User {
        name: "me".to_owned(),
        password: Secret::File(secret.clone()),
    };
    let node = Joined::join(settings);
    let restart_with = |password, nats: &mut Nats| {
        nats.kill();
        set_password(password);
        nats.restart();
    };
    restart_with("other", &mut nats);
    let is_told = |trouble: &str| trouble.contains("authorization violation");
    node.wait_for(|state| matches!(state, State::Away { trouble, .. } if is_told(trouble)));
    restart_with("right", &mut nats);
    node.wait_for(State::is_serving);
    for file in [users, secret] {
        std::fs::remove_file(file).unwrap();
    }
}

#[test]
fn a_stream_that_was_lost_is_told() {
    if !is_installed() {
        return;
    }
    let mut nats = Nats::start();
    let node = Joined::join(settings(&nats, "a"));
    nats.kill();
    nats.lose_files();
    nats.restart();
    // Somebody is quicker and makes it anew.
    let _other = Joined::join(settings(&nats, "b"));
    assert!(node.end().contains("lost, or made anew"));
}

#[test]
fn a_stream_in_memory_is_lost_with_its_server() {
    if !is_installed() {
        return;
    }
    let mut nats = Nats::start();
    let mut settings = settings(&nats, "a");
    settings.storage = Storage::Memory;
    settings.max_bytes = 256 << 20;
    let node = Joined::join(settings);
    nats.kill();
    nats.restart();
    assert!(node.end().contains("lost, or made anew"));
}

#[test]
fn what_others_write_is_skipped_and_counted() {
    if !is_installed() {
        return;
    }
    let nats = Nats::start();
    let mut node = Joined::join(settings(&nats, "a"));
    let mut sender = node.member.sender();
    send(&mut sender, b"before");
    assert_eq!(node.receive(1), [b"before"]);
    with_nats(&nats, |context| async move {
        for garbage in ["", "hello", "chat", "chat\u{1}\u{2}", "chat\u{2}\u{2}abc"] {
            let publish = context.publish("chat-cluster.room.entries", garbage.into());
            publish.await.unwrap().await.unwrap();
        }
    });
    send(&mut sender, b"after");
    assert_eq!(node.receive(1), [b"after"]);
    assert_eq!(node.member.figures().counts.garbage, 5);
    // One that joins later makes the same of it.
    let other = Joined::join(settings(&nats, "b"));
    assert_eq!(other.member.figures().counts.duplicates, 0);
}

#[test]
fn a_foreign_entry_among_the_snapshots_keeps_nobody_out() {
    if !is_installed() {
        return;
    }
    let nats = Nats::start();
    let scribble = || {
        with_nats(&nats, |context| async move {
            let publish = context.publish("chat-cluster.room.snapshots", "hello".into());
            publish.await.unwrap().await.unwrap();
        });
    };
    let node = Joined::join(settings(&nats, "a"));
    with_nats(&nats, |context| async move {
        let stream = context.get_stream("room").await.unwrap();
        let newest = || stream.get_last_raw_message_by_subject("chat-cluster.room.snapshots");
        while newest().await.is_err() {
            tokio::task::yield_now().await;
        }
    });
    scribble();
    // A node that serves writes a new one.
    with_nats(&nats, |context| async move {
        let stream = context.get_stream("room").await.unwrap();
        let newest = || stream.get_last_raw_message_by_subject("chat-cluster.room.snapshots");
        while newest().await.unwrap().payload == "hello" {
            tokio::task::yield_now().await;
        }
    });
    node.member.leave();
    node.end();
    // Where no node serves, an older one is found.
    scribble();
    let again = Joined::join(settings(&nats, "a"));
    assert_eq!(again.member.figures().epoch, 2);
}

#[test]
fn a_stream_made_anew_with_the_same_description_is_told() {
    if !is_installed() {
        return;
    }
    let nats = Nats::start();
    let node = Joined::join(settings(&nats, "a"));
    with_nats(&nats, |context| async move {
        let mut stream = context.get_stream("room").await.unwrap();
        let config = stream.info().await.unwrap().config.clone();
        context.delete_stream("room").await.unwrap();
        context.create_stream(config).await.unwrap();
    });
    assert!(node.end().contains("lost, or made anew"), "{}", node.end());
}

#[test]
fn another_stream_that_takes_the_subjects_is_told() {
    if !is_installed() {
        return;
    }
    let nats = Nats::start();
    let node = Joined::join(settings(&nats, "a"));
    let mut sender = node.member.sender();
    with_nats(&nats, |context| async move {
        let mut stream = context.get_stream("room").await.unwrap();
        let mut config = stream.info().await.unwrap().config.clone();
        config.subjects = vec!["elsewhere".to_owned()];
        context.update_stream(config).await.unwrap();
        let other = Config {
            name: "other".to_owned(),
            subjects: vec!["chat-cluster.room.>".to_owned()],
            ..Default::default()
        };
        context.create_stream(other).await.unwrap();
    });
    send(&mut sender, b"lost");
    node.wait_for(
        |state| matches!(state, State::Away { trouble, .. } if trouble.contains("another stream")),
    );
}

#[test]
fn of_two_with_one_name_the_later_takes_over() {
    if !is_installed() {
        return;
    }
    let nats = Nats::start();
    let first = Joined::join(settings(&nats, "a"));
    let second = Joined::join(settings(&nats, "a"));
    assert!(first.end().contains("has taken over"), "{}", first.end());
    assert_eq!(second.member.figures().epoch, 2);
    assert!(second.member.state().is_serving());
}

#[test]
fn a_consumer_that_is_deleted_is_made_anew_after_the_last_entry() {
    if !is_installed() {
        return;
    }
    let nats = Nats::start();
    let mut node = Joined::join(settings(&nats, "a"));
    let mut sender = node.member.sender();
    send(&mut sender, b"before");
    assert_eq!(node.receive(1), [b"before"]);
    let deleted = with_nats(&nats, |context| async move {
        use futures::TryStreamExt;
        let stream = context.get_stream("room").await.unwrap();
        let names: Vec<String> = stream.consumer_names().try_collect().await.unwrap();
        for name in &names {
            stream.delete_consumer(name).await.unwrap();
        }
        names.len()
    });
    assert!(deleted > 0);
    send(&mut sender, b"after");
    assert_eq!(node.receive(1), [b"after"]);
    assert!(node.member.figures().restarts > 0);
}

#[test]
fn a_stream_with_the_same_settings_but_others_beside_is_left_alone() {
    if !is_installed() {
        return;
    }
    let nats = Nats::start();
    with_nats(&nats, |context| async move {
        let other = Config {
            name: "other".to_owned(),
            ..Config::default()
        };
        context.create_stream(other).await.unwrap();
    });
    let _node = Joined::join(settings(&nats, "a"));
    let names = with_nats(&nats, |context| async move {
        use futures::TryStreamExt;
        let mut names: Vec<String> = context.stream_names().try_collect().await.unwrap();
        names.sort();
        names
    });
    assert_eq!(names, ["other", "room"]);
}
