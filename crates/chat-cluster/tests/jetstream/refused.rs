use std::time::Instant;

use async_nats::jetstream::stream::{Config, DiscardPolicy};
use chat_cluster::jetstream::{Deliveries, Login, Member, Secret, Settings, TlsFiles, join};

use crate::nats::{DEADLINE, Nats, free_port, is_installed};
use crate::util::{Joined, SHORT, send, settings, with_nats};

/// Joins, and asserts that the node ends soon and says why.
#[track_caller]
fn check(settings: Settings, why: &[&str]) {
    let start = Instant::now();
    let (member, deliveries): (Member, Deliveries) = join(settings).unwrap();
    let end = Joined { member, deliveries }.end();
    for part in why {
        assert!(end.contains(part), "{end:?} does not say {part:?}");
    }
    assert!(start.elapsed() < DEADLINE);
}

#[test]
fn nobody_there_is_told_with_the_address() {
    if !is_installed() {
        return;
    }
    let nats = Nats::start();
    let mut settings = settings(&nats, "a");
    let url = format!("nats://127.0.0.1:{}", free_port());
    settings.servers = vec![url.parse().unwrap()];
    settings.join_timeout = SHORT;
    check(settings, &["no connection to NATS at", &url]);
}

#[test]
fn a_server_that_is_silent_is_told_when_the_time_is_over() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("nats://{}", silent.local_addr().unwrap());
    let servers = vec![url.parse().unwrap()];
    let mut settings = Settings::new(servers, "room".parse().unwrap(), "a".parse().unwrap());
    settings.join_timeout = SHORT;
    check(settings, &["NATS at", &url, "does not answer"]);
}

#[test]
fn a_node_that_has_no_time_to_join_tries_once() {
    if !is_installed() {
        return;
    }
    let nats = Nats::start();
    let mut settings = settings(&nats, "a");
    settings.join_timeout = std::time::Duration::ZERO;
    let node = Joined::join(settings);
    assert!(node.member.state().is_serving());
}

#[test]
fn a_server_without_jetstream_is_told() {
    if !is_installed() {
        return;
    }
    let nats = Nats::start_with("");
    let mut settings = settings(&nats, "a");
    settings.join_timeout = SHORT;
    check(settings, &["JetStream is not enabled"]);
}

#[test]
fn more_replicas_than_servers_are_told_with_what_to_do() {
    if !is_installed() {
        return;
    }
    let nats = Nats::start();
    let mut settings = settings(&nats, "a");
    settings.replicas = 3;
    check(settings, &["cannot create the stream", "ask for 1 replica"]);
}

#[test]
fn more_bytes_than_nats_has_are_told_with_what_to_do() {
    if !is_installed() {
        return;
    }
    let nats = Nats::start();
    let mut settings = settings(&nats, "a");
    settings.max_bytes = 1 << 40;
    check(
        settings,
        &["cannot create the stream", "ask for fewer bytes"],
    );
}

#[test]
fn a_stream_that_breaks_the_promise_is_refused() {
    if !is_installed() {
        return;
    }
    let nats = Nats::start();
    with_nats(&nats, |context| async move {
        let config = Config {
            name: "room".to_owned(),
            subjects: ["entries", "snapshots"]
                .map(|kind| format!("chat-cluster.room.{kind}"))
                .into(),
            discard: DiscardPolicy::New,
            ..Config::default()
        };
        context.create_stream(config).await.unwrap();
    });
    check(
        settings(&nats, "a"),
        &["the stream room has discard New and needs Old", "full"],
    );
}

#[test]
fn a_secret_that_is_wrong_or_missing_is_told() {
    if !is_installed() {
        return;
    }
    let nats = Nats::start_with(
        "jetstream { store_dir: \"DIR/js\" }\nauthorization { user: me, password: right }",
    );
    let path = std::env::temp_dir().join(format!("chat-nats-password-{}", std::process::id()));
    let with_password = |password: &str| {
        std::fs::write(&path, password).unwrap();
        let mut settings = settings(&nats, "a");
        settings.login = Login::User {
            name: "me".to_owned(),
            password: Secret::File(path.clone()),
        };
        settings
    };
    check(
        with_password("wrong\n"),
        &["does not accept the credentials"],
    );
    check(settings(&nats, "a"), &["does not accept the credentials"]);
    let node = Joined::join(with_password("right\n"));
    assert!(node.member.state().is_serving());
    std::fs::remove_file(&path).unwrap();
    let mut missing = settings(&nats, "a");
    missing.login = Login::Token(Secret::File(path));
    check(missing, &["cannot read the secret in"]);
}

#[test]
fn a_certificate_that_is_missing_or_no_good_is_told_at_once() {
    let path = std::env::temp_dir().join(format!("chat-nats-damaged-{}.pem", std::process::id()));
    std::fs::write(&path, "no certificate").unwrap();
    let servers = vec!["tls://127.0.0.1:1".parse().unwrap()];
    let settings = Settings::new(servers, "room".parse().unwrap(), "a".parse().unwrap());
    let cases = [
        ("/no/such/file".into(), "cannot read /no/such/file: "),
        (path.clone(), "has no certificate"),
    ];
    for (ca, why) in cases {
        let mut settings = settings.clone();
        // Nobody is there, and it is not waited for.
        settings.join_timeout = 2 * DEADLINE;
        settings.tls = TlsFiles {
            ca: Some(ca),
            client: None,
        };
        let checked = settings.check().unwrap_err().to_string();
        assert!(checked.contains(why), "{checked}");
        check(settings, &["cannot log in to NATS: ", why]);
    }
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_setting_that_is_changed_later_is_told_and_the_node_goes_on() {
    if !is_installed() {
        return;
    }
    let nats = Nats::start();
    let mut node = Joined::join(settings(&nats, "a"));
    assert_eq!(node.member.refused(), None);
    let set_max_messages = |count| {
        with_nats(&nats, |context| async move {
            let stream = context.get_stream("room").await.unwrap();
            let mut config = stream.cached_info().config.clone();
            config.max_messages = count;
            context.update_stream(config).await.unwrap();
        });
    };
    set_max_messages(10);
    let refused = wait_for(|| node.member.refused());
    assert_eq!((refused.setting, &refused.has[..]), ("max_msgs", "10"));
    send(&mut node.member.sender(), b"hello");
    assert_eq!(node.receive(1), [b"hello"]);
    assert!(node.member.state().is_serving());
    set_max_messages(-1);
    wait_for(|| node.member.refused().is_none().then_some(()));
}

/// Waits until there is something.
#[track_caller]
fn wait_for<T>(find: impl Fn() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(start.elapsed() < DEADLINE, "there is nothing");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[test]
fn the_documented_permissions_are_enough() {
    if !is_installed() {
        return;
    }
    let nats = Nats::start_with(
        "jetstream { store_dir: \"DIR/js\", max_file: 4G }\n\
         authorization { users: [ { user: me, password: it, permissions: { \
         publish: [\"chat-cluster.room.>\", \"$JS.API.>\"], subscribe: \"_INBOX.>\" } } ] }",
    );
    let path = std::env::temp_dir().join(format!("chat-nats-enough-{}", std::process::id()));
    std::fs::write(&path, "it").unwrap();
    let mut settings = settings(&nats, "a");
    settings.login = Login::User {
        name: "me".to_owned(),
        password: Secret::File(path.clone()),
    };
    let mut node = Joined::join(settings);
    std::fs::remove_file(path).unwrap();
    send(&mut node.member.sender(), b"hello");
    assert_eq!(node.receive(1), [b"hello"]);
}

#[test]
fn what_nats_does_not_permit_is_told() {
    if !is_installed() {
        return;
    }
    let cases = [
        ("_INBOX.>", "$JS.API.STREAM.INFO.room"),
        ("$JS.API.>", "chat-cluster.room.entries"),
    ];
    for (allowed, refused) in cases {
        let nats = Nats::start_with(&format!(
            "jetstream {{ store_dir: \"DIR/js\" }}\n\
             authorization {{ users: [ {{ user: me, password: it, permissions: {{ \
             publish: \"{allowed}\", subscribe: \"_INBOX.>\" }} }} ] }}"
        ));
        let path = std::env::temp_dir().join(format!("chat-nats-it-{}", std::process::id()));
        std::fs::write(&path, "it").unwrap();
        let mut settings = settings(&nats, "a");
        settings.login = Login::User {
            name: "me".to_owned(),
            password: Secret::File(path),
        };
        check(settings, &["NATS does not permit", refused]);
    }
}
