use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;

use crate::throttled::send_and_receive;
use crate::util::{Client, Server, chat_server, run};

/// A configuration file, which is removed at the end of its test.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.toml"));
        let file = Self(path);
        file.write(text);
        file
    }

    fn write(&self, text: &str) {
        fs::write(&self.0, text).unwrap();
    }

    /// Starts a server with the file, on a free port.
    fn start(&self) -> Server {
        Server::start_with(&["--config", self.0.to_str().unwrap()])
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn all_addresses_lead_to_one_room() {
    let text = "listen = ['127.0.0.2:0', '[::1]:0']";
    let mut server = File::new("addresses", text).start();
    let others = [server.next_address(), server.next_address()];
    assert_eq!(others[0].ip().to_string(), "127.0.0.2");
    assert!(others[1].is_ipv6());
    let mut client = server.join(b"hello");
    for address in others {
        let mut other = Client::of(std::net::TcpStream::connect(address).unwrap());
        other.send(address.to_string().as_bytes());
        assert_eq!(client.receive(), address.to_string().as_bytes());
        assert_eq!(other.receive(), address.to_string().as_bytes());
    }
    server.signal(Signal::TERM);
    let (status, printed) = server.wait();
    assert_eq!((status.code(), &printed[..]), (Some(0), ""));
}

#[test]
fn options_that_make_sense_are_printed_as_a_file() {
    let file = File::new("checked", "grace = '1s'\nmax-clients = 3");
    let mut command = chat_server();
    command.env("CHAT_SERVER_LOG_BYTES", "1MiB").arg("--config");
    command
        .arg(&file.0)
        .args(["--grace", "2s", "--check-config"]);
    let output = run(&mut command, b"");
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
    for line in [
        "grace = \"2s\"",
        "log-bytes = \"1MiB\"",
        "max-clients = \"3\"",
    ] {
        assert!(printed.lines().any(|printed| printed == line), "{printed}");
    }
    file.write(&printed);
    let again = run(
        chat_server()
            .arg("--config")
            .arg(&file.0)
            .arg("--check-config"),
        b"",
    );
    assert_eq!(String::from_utf8(again.stdout).unwrap(), printed);
}

#[test]
fn a_configuration_that_makes_no_sense_is_an_error_and_nothing_is_served() {
    let file = File::new("wrong", "gracee = '1s'");
    let output = run(chat_server().arg("--config").arg(&file.0), b"");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr.contains("wrong.toml: there is no option `gracee`; did you mean `grace`?"),
        "{stderr}"
    );
    assert!(
        output.stdout.is_empty() && stderr.lines().count() == 1,
        "{stderr}"
    );
}

#[test]
fn what_can_change_changes_with_sighup_and_what_cannot_is_told() {
    let file = File::new("changed", "max-clients = 1\nlog = 'info'");
    let mut server = file.start();
    let mut log = server.log_lines();
    let mut told = move |part: &str| {
        let line = log.by_ref().find(|line| line.contains(part));
        line.unwrap_or_else(|| panic!("it is not logged that {part:?}"))
    };
    let mut first = server.join(b"first");
    assert!(server.connect().is_closed());

    file.write("max-clients = 2\nlog = 'info'\nlog-bytes = '1MiB'");
    server.signal(Signal::HUP);
    told("log-bytes has changed in the configuration, which takes a restart");
    told("max-clients has changed");
    let mut second = server.join(b"second");
    assert_eq!(first.receive(), b"second");

    file.write("max-clients = ");
    server.signal(Signal::HUP);
    told("the configuration stays as it was: ");
    second.send(b"still here");
    assert_eq!(first.receive(), b"still here");
    assert!(server.connect().is_closed());
}

#[test]
fn what_public_sets_changes_with_it_and_takes_no_restart() {
    let file = File::new("public", "log = 'info'");
    let mut server = file.start();
    let log = server.log_lines();
    file.write("log = 'info'\npublic = true\nmax-clients-per-ip = 1");
    server.signal(Signal::HUP);
    server.signal(Signal::USR1);
    let lines: Vec<_> = log
        .take_while(|line| !line.contains("somebody asked for the state"))
        .collect();
    for name in ["public", "stall-timeout", "max-clients-per-ip"] {
        let part = format!("{name} has changed");
        assert!(lines.iter().any(|line| line.contains(&part)), "{lines:?}");
    }
    assert!(
        !lines.iter().any(|line| line.contains("restart")),
        "{lines:?}"
    );
    let _first = server.join(b"first");
    assert!(server.connect().is_closed());
}

#[cfg(feature = "tls")]
#[test]
fn a_check_reads_the_certificate_too() {
    use crate::certs::{Authority, Folder};

    let file = File::new("certificate", "");
    let check = |text: &str| {
        file.write(text);
        let mut command = chat_server();
        command.arg("--config").arg(&file.0).arg("--check-config");
        let output = run(&mut command, b"");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.stdout.is_empty(), !stderr.is_empty());
        (output.status.code(), stderr)
    };
    let text = "tls-cert = '/nowhere/cert'\ntls-key = '/nowhere/key'";
    // The address may be that of a socket that is handed over.
    for address in ["", "tls-listen = '127.0.0.1:0'\n"] {
        let (code, stderr) = check(&format!("{address}{text}"));
        assert_eq!(code, Some(1));
        assert!(stderr.contains("cannot read /nowhere/cert: "), "{stderr}");
    }
    let (_, stderr) = check("tls-cert = '/nowhere/cert'");
    assert!(stderr.contains("needs tls-key"), "{stderr}");
    let (folder, identity) = (Folder::new(), Authority::new().issue());
    let cert = folder.write("cert.pem", &identity.cert);
    let key = folder.write("key.pem", &identity.key);
    let good = format!("tls-cert = '{cert}'\ntls-key = '{key}'");
    assert_eq!(check(&good), (Some(0), String::new()));
}

#[test]
fn rates_that_change_hold_for_clients_that_are_there() {
    let file = File::new("rates", "log = 'info'");
    let mut server = file.start();
    let mut log = server.log_lines();
    let mut told = move |part: &str| assert!(log.any(|line| line.contains(part)), "{part}");
    let mut client = server.join(b"before there were rates");
    file.write("log = 'info'\nrate-messages = 100\nstall-timeout = '60s'");
    server.signal(Signal::HUP);
    told("rate-messages has changed");
    told("stall-timeout has changed, for clients that connect from now on");
    // A hundred at once, and the others in two seconds.
    let elapsed = send_and_receive(&mut client, 300, 1);
    assert!(elapsed >= Duration::from_millis(1900), "{elapsed:?}");
}

#[test]
fn the_log_can_be_turned_on_with_sighup() {
    let file = File::new("turned-on", "");
    let mut server = file.start();
    let mut log = server.log_lines();
    drop(server.join(b"not logged"));
    file.write("log = 'debug'");
    server.signal(Signal::HUP);
    // It is asked in the same way, and after the change.
    server.signal(Signal::USR1);
    assert!(log.any(|line| line.contains("somebody asked for the state")));
    drop(server.join(b"logged"));
    let connected = log.find(|line| line.contains("connected")).unwrap();
    assert!(connected.contains("DEBUG"), "{connected}");
}

#[test]
fn the_state_is_logged_when_it_is_asked_for() {
    let mut server = Server::start();
    let mut log = server.log_lines();
    let mut client = server.join(b"hello");
    client.send(b"again");
    assert_eq!(client.receive(), b"again");
    server.signal(Signal::USR1);
    let line = log.next().unwrap();
    for part in ["clients=1", "published=2", "delivered=", "dropped=0"] {
        assert!(line.contains(part), "{line}");
    }
}
