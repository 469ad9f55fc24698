use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::cluster_util::{Node, command, command_with, get, wait_until};
use crate::nats::{Nats, free_port, is_installed};
use crate::util::{chat_server, run, wait_for_exit};

/// Runs a server that cannot start, and asserts what it says.
#[track_caller]
fn check(command: &mut Command, code: i32, why: &[&str]) {
    let output = run(command, b"");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert_eq!(output.stdout, b"");
    let last = stderr.lines().last().unwrap_or_default();
    assert!(code == 2 || last.starts_with("error: "), "{stderr}");
    for part in why {
        assert!(stderr.contains(part), "{stderr:?} does not say {part:?}");
    }
}

#[test]
fn options_that_make_no_sense_are_told() {
    let url = "nats://127.0.0.1:1";
    let alone = "makes sense with --cluster alone";
    let cases: [(&[&str], &str); 17] = [
        (&["--cluster", url], "a cluster takes --cluster-stream"),
        (&["--cluster", url, "--cluster-stream", "r"], "takes --node"),
        (&["--node", "a"], alone),
        (&["--cluster-user", "me"], alone),
        (&["--cluster-tls-ca", "file"], alone),
        (&["--cluster-domain", "here"], alone),
        (&["--cluster-replicas", "1"], alone),
        (&["--cluster-storage", "memory"], alone),
        (&["--cluster-domain", "a.b"], "it is a word"),
        (&["--cluster-api-prefix", "a b"], "it is words with dots"),
        (&["--node", "a b"], "a node's name has"),
        (&["--cluster-stream", "a.b"], "a stream's name has"),
        (&["--cluster-max-bytes", "1MiB"], "at least 128MiB"),
        (&["--cluster-max-bytes", "15EiB"], "less than 8EiB"),
        (&["--cluster-max-age", "59m"], "it is 1h to 36500d, or 0"),
        (
            &["--cluster-max-age", "200000d"],
            "it is 1h to 36500d, or 0",
        ),
        (&["--cluster-outbox-bytes", "1KiB"], "at least 128KiB"),
    ];
    for (args, why) in cases {
        let mut command = chat_server();
        check(command.arg("127.0.0.1:0").args(args), 2, &[why]);
        let mut command = chat_server();
        check(command.arg("--check-config").args(args), 2, &[why]);
    }
    let whole = ["--cluster", url, "--cluster-stream", "r", "--node", "a"];
    let logins: [(&[&str], &str); 4] = [
        (&["--cluster-user", "me"], "takes --cluster-password-file"),
        (&["--cluster-password-file", "f"], "takes --cluster-user"),
        (
            &["--cluster-token-file", "f", "--cluster-nkey-file", "f"],
            "more than one way",
        ),
        (
            &["--cluster-domain", "d", "--cluster-api-prefix", "p.API"],
            "both say where JetStream is",
        ),
    ];
    for (args, why) in logins {
        let mut command = chat_server();
        command.arg("127.0.0.1:0").args(whole).args(args);
        check(&mut command, 2, &[why]);
    }
}

#[test]
fn a_url_that_is_no_good_is_told_without_its_secret() {
    let urls = [
        ("nats://me:hush@h", "has no secrets"),
        ("http://me:hush@h", "has no secrets"),
        ("hush", "a server of NATS is nats://"),
    ];
    for (url, why) in urls {
        for mode in ["127.0.0.1:0", "--check-config"] {
            let mut command = chat_server();
            command.args([
                mode,
                "--cluster",
                url,
                "--cluster-stream",
                "r",
                "--node",
                "a",
            ]);
            let output = run(&mut command, b"");
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{stderr}");
            assert!(stderr.contains(why) && !stderr.contains("hush"), "{stderr}");
        }
    }
}

#[test]
fn a_key_that_is_none_is_told_at_once() {
    let args = ["--cluster", "nats://127.0.0.1:1", "--cluster-stream", "r"];
    let why = "what the variable CHAT_CLUSTER_NKEY has is no seed of a key";
    for mode in ["127.0.0.1:0", "--check-config"] {
        let mut command = chat_server();
        command.arg(mode).args(args).args(["--node", "a"]);
        check(command.env("CHAT_CLUSTER_NKEY", "hush"), 1, &[why]);
    }
}

#[test]
fn nobody_there_is_told_and_a_signal_ends_the_waiting() {
    let port = free_port();
    let url = format!("nats://127.0.0.1:{port}");
    let args = ["--cluster", &url, "--cluster-stream", "r", "--node", "a"];
    let mut command = chat_server();
    command.arg("127.0.0.1:0").args(args);
    command.args(["--cluster-join-timeout", "1s"]);
    check(
        &mut command,
        1,
        &[
            "cannot join the cluster yet: no connection to NATS at",
            "error: cannot join the cluster: no connection to NATS at",
            &url,
        ],
    );

    let metrics = free_port();
    let mut command = chat_server();
    command.arg("127.0.0.1:0").args(args);
    command.args(["--metrics", &metrics.to_string()]);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let is_up = || std::net::TcpStream::connect(("127.0.0.1", metrics)).ok();
    wait_until(is_up);
    let (status, body) = get(metrics, "/readyz");
    assert!(
        status == "503" && body.contains("joining the cluster"),
        "{body}"
    );
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(wait_for_exit(&mut child).code(), Some(0));
}

#[test]
fn nats_that_cannot_do_it_is_told() {
    if !is_installed() {
        return;
    }
    let without = Nats::start_with("");
    let mut server = command(&without, "a");
    server.args(["--cluster-join-timeout", "1s"]);
    check(&mut server, 1, &["JetStream is not enabled"]);
    let nats = Nats::start();
    let mut server = command_with(&nats, "a", "3");
    check(&mut server, 1, &["cannot create the stream", "1 replica"]);
    // One that is there already, and as another server was told.
    let _node = Node::start(&nats, "a");
    let mut server = command(&nats, "b");
    server.args(["--cluster-storage", "memory"]);
    check(&mut server, 1, &["storage", "what this node was told"]);
}

#[test]
fn a_secret_comes_from_a_variable_and_is_not_shown() {
    if !is_installed() {
        return;
    }
    let nats = Nats::start_with(
        "jetstream { store_dir: \"DIR/js\", max_file: 4G }\nauthorization { token: hush }",
    );
    let mut server = command(&nats, "a");
    check(&mut server, 1, &["does not accept the credentials"]);
    let mut server = command(&nats, "a");
    server
        .env("CHAT_CLUSTER_TOKEN", "hush")
        .args(["--log", "trace"]);
    let server = crate::util::Server::spawn(server);
    server.join(b"hello");
    let log = server.end();
    assert!(
        log.contains("joined the cluster") && !log.contains("hush"),
        "{log}"
    );
    let mut printing = command(&nats, "a");
    printing
        .env("CHAT_CLUSTER_TOKEN", "hush")
        .arg("--check-config");
    let printed = run(&mut printing, b"").stdout;
    let printed = String::from_utf8(printed).unwrap();
    assert!(printed.contains("cluster-stream = \"room\"") && !printed.contains("hush"));
}
