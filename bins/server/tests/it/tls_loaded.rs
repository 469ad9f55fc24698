use std::process::{Command, Output};

use crate::certs::{Authority, Folder, Identity};
use crate::tls_util::TlsServer;
use crate::together::binary;
use crate::util::run;

/// Runs the load tester on a server that it starts with a certificate of `identity`.
fn load(folder: &Folder, identity: &Identity, options: &[&str], server: &[&str]) -> Output {
    let cert = folder.write("cert.pem", &identity.cert);
    let key = folder.write("key.pem", &identity.key);
    let mut stresstest = Command::new(binary("stresstest"));
    stresstest
        .args(["--server", "127.0.0.1:0", "--tls"])
        .args(options)
        .arg(env!("CARGO_BIN_EXE_chat-server"))
        .args(["--", "--tls-listen", "127.0.0.1:0"])
        .args(["--tls-cert", &cert, "--tls-key", &key])
        .args(server);
    run(&mut stresstest, b"")
}

/// Asserts that a load passed, as far as the machine had time for it.
#[track_caller]
fn check_passed(output: &Output) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let is_bound = stderr.contains("inconclusive: generator-bound");
    let code = output.status.code();
    assert!(
        code == Some(0) || code == Some(5) && is_bound,
        "{code:?}: {}{stderr}",
        String::from_utf8_lossy(&output.stdout)
    );
}

/// Asserts that a load could not run, for a reason told in one line.
#[track_caller]
fn check_stopped(output: &Output, said: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let errors: Vec<_> = stderr
        .lines()
        .filter(|line| line.starts_with("error: "))
        .collect();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        matches!(errors[..], [error] if error.contains(said)),
        "{stderr}"
    );
}

#[test]
fn the_load_tester_passes_the_server_over_tls() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let ca = folder.write("ca.pem", &authority.pem);
    let options = ["--tls-ca", &ca, "--repetitions", "2", "--messages", "200"];
    let output = load(&folder, &authority.issue(), &options, &[]);
    check_passed(&output);
    let stdout = String::from_utf8_lossy(&output.stdout);
    let passed = "successfully received 1200 messages out of 1200 sent (= drop rate of 0)";
    let count = stdout.lines().filter(|line| *line == passed).count();
    assert_eq!(count, 2, "{stdout}");
}

#[test]
fn all_clients_of_a_load_are_over_tls() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let ca = folder.write("ca.pem", &authority.pem);
    let own = authority.issue();
    let cert = folder.write("own.pem", &own.cert);
    let key = folder.write("own-key.pem", &own.key);
    let files = ["--tls-ca", &ca, "--tls-cert", &cert, "--tls-key", &key];
    // Publishers with many messages in flight, writes that end inside messages, and everybody else.
    let clients = ["--stalled", "3", "--slow", "2", "--churn", "20"];
    let size = ["-p", "4", "-s", "4", "--window", "100", "-m", "5000"];
    let output = load(
        &folder,
        &authority.issue(),
        &[&files[..], &clients[..], &size[..]].concat(),
        &["--tls-client-ca", &ca],
    );
    check_passed(&output);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.contains("proved: one order explains"), "{stdout}");
    assert!(
        !stdout.contains("rule 8"),
        "quitters are over TLS: {stdout}"
    );
}

#[test]
fn a_schedule_is_kept_over_tls() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let ca = folder.write("ca.pem", &authority.pem);
    let options = [
        "--tls-ca", &ca, "--rate", "500", "-m", "200", "-p", "2", "-s", "2",
    ];
    check_passed(&load(&folder, &authority.issue(), &options, &[]));
}

#[test]
fn a_load_on_a_server_of_another_ca_does_not_run() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let other = folder.write("other.pem", &Authority::new().pem);
    let output = load(&folder, &authority.issue(), &["--tls-ca", &other], &[]);
    check_stopped(&output, "certificate is of no CA that this client accepts");
    let ca = folder.write("ca.pem", &authority.pem);
    let expired = authority.issue_as(|params| {
        params.subject_alt_names =
            vec![rcgen::SanType::DnsName("chat.example".try_into().unwrap())];
    });
    let output = load(&folder, &expired, &["--tls-ca", &ca], &[]);
    check_stopped(&output, "certificate not valid for name");
}

#[test]
fn a_load_without_the_certificate_that_is_demanded_does_not_run() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let ca = folder.write("ca.pem", &authority.pem);
    let strict = ["--tls-client-ca", &ca];
    let output = load(&folder, &authority.issue(), &["--tls-ca", &ca], &strict);
    check_stopped(&output, "lets only clients with a certificate in");
}

#[test]
fn anybody_may_be_the_server_if_that_is_asked_for() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let options = ["--tls-insecure", "-r", "1", "-m", "10"];
    let output = load(&folder, &authority.issue(), &options, &[]);
    check_passed(&output);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("warning: any server is accepted"),
        "{stderr}"
    );
}

/// Runs the load tester on an address of a server that runs already.
fn connect(address: &str, options: &[&str]) -> Output {
    let mut stresstest = Command::new(binary("stresstest"));
    stresstest.args(["--connect", address]).args(options);
    run(&mut stresstest, b"")
}

#[test]
fn a_load_at_the_address_of_the_other_kind_does_not_run() {
    let tls = TlsServer::start(&[]);
    let output = connect(&tls.address.to_string(), &[]);
    check_stopped(&output, "does it speak TLS there (--tls)?");
    let options = ["--tls", "--tls-insecure"];
    let output = connect(&tls.server.address.to_string(), &options);
    check_stopped(&output, "does it speak TLS there, and is it not full?");
    // And the server is as before.
    tls.server.join(b"still here");
}

#[test]
fn the_name_that_was_given_is_the_one_that_is_checked() {
    let tls = TlsServer::start(&[]);
    let ca = tls.folder.write("ca.pem", &tls.authority.pem);
    let options = ["--tls", "--tls-ca", &ca, "-r", "1", "-m", "10"];
    check_passed(&connect(&tls.address.to_string(), &options));
    let named = format!("localhost:{}", tls.address.port());
    check_stopped(
        &connect(&named, &options),
        "not valid for name \"localhost\"",
    );
}
