use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use chat_cluster_faults::{Cluster, Fault, Settings, Trial};
use rustix::process::{Pid, Signal, kill_process};

use crate::example::example;
use crate::guards::children_of;
use crate::installed::nats;

/// Makes the settings of a cluster of real servers, where both are there. What builds all packages builds
/// the chat server as well.
fn settings() -> Option<Settings> {
    let test = std::env::current_exe().unwrap();
    let server: PathBuf = test.ancestors().nth(2).unwrap().join("chat-server");
    let settings = nats().map(|nats| Settings::new(nats, &server));
    let settings = settings.filter(|_| server.is_file());
    if settings.is_none() {
        eprintln!("skipped: it takes cargo build -p chat-server");
    }
    settings
}

#[test]
fn a_chat_server_that_fails_by_itself_costs_nothing_acknowledged() {
    let Some(settings) = settings() else { return };
    let mut cluster = Cluster::start(&settings).unwrap();
    let id = cluster.nodes.process_id(1).unwrap().cast_signed();
    let trial = thread::scope(|scope| {
        scope.spawn(|| {
            // Whenever that is: before the trial, it is told of as well.
            thread::sleep(TIME / 2);
            kill_process(Pid::from_raw(id).unwrap(), Signal::ABORT).unwrap();
        });
        Trial::run(&mut cluster, &[Fault::None], TIME, 1)
    });
    let trial = trial.unwrap_or_else(|error| panic!("{error}"));
    assert!(trial.facts.is_kept(), "{}", trial.facts);
    assert!(trial.facts.acknowledged > 0, "{}", trial.facts);
    let exits: Vec<String> = trial.exits.iter().map(ToString::to_string).collect();
    let told = "chat server 2 ended by itself: signal: 6 (SIGABRT)";
    assert!(
        exits.len() == 1 && exits[0].starts_with(told) && exits[0].ends_with("; started again"),
        "{exits:?}"
    );
    assert!(cluster.report().contains(told), "{}", cluster.report());
    // The next one tells of its own alone.
    let next = Trial::run(&mut cluster, &[Fault::None], Duration::ZERO, 2);
    assert_eq!(next.unwrap().exits, []);
}

#[test]
fn the_example_tells_of_a_chat_server_that_fails_by_itself() {
    let Some(settings) = settings() else { return };
    let mut example = example()
        .arg(&settings.server)
        .args(["--fault", "none", "--seconds", "4"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(example.stdout.take().unwrap());
    let mut text = String::new();
    // All servers are there when the table begins.
    while !text.contains("| fault |") {
        assert_ne!(output.read_line(&mut text).unwrap(), 0, "{text}");
    }
    let children = children_of(example.id());
    let name = |id: &String| fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default();
    let server = children.iter().find(|it| name(it) == "chat-server\n");
    let id: i32 = server.unwrap().parse().unwrap();
    kill_process(Pid::from_raw(id).unwrap(), Signal::KILL).unwrap();
    output.read_to_string(&mut text).unwrap();
    let code = example.wait().unwrap().code();
    assert_eq!(code, Some(4), "{text}");
    let told = "ended by itself: signal: 9 (SIGKILL); started again";
    assert_eq!(text.matches(told).count(), 1, "{text}");
    assert!(text.trim_end().ends_with("| 0 | 0 | 0 | 1 |"), "{text}");
}

#[test]
fn a_chat_server_whose_name_is_taken_over_stays_away() {
    let Some(settings) = settings() else { return };
    let mut cluster = Cluster::start(&settings).unwrap();
    let mut stranger = Command::new(&settings.server)
        .arg(format!("--cluster=nats://{}", cluster.nats.addrs()[0]))
        .args(["--cluster-stream=room", "--cluster-storage=memory"])
        .args(["--node=node-1", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut output = BufReader::new(stranger.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    let trial = Trial::run(&mut cluster, &[Fault::None], TIME, 1);
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    let error = trial.unwrap_err().to_string();
    assert!(line.starts_with("listening on"), "{line}");
    let told = "chat server 1 ended by itself: exit status: 3: error: another server";
    assert!(error.contains(told), "{error}");
    assert!(error.contains("; not started again"), "{error}");
    assert_eq!(cluster.nodes.exits().len(), 1);
}

/// How long the trial lasts at least.
const TIME: Duration = Duration::from_secs(4);
