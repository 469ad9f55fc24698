use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use crate::certs::{Authority, Folder, Identity};
use crate::tls_util::{TlsClient, TlsServer};
use crate::util::{Client, DEADLINE, chat_server, run};

/// Has a client refused while others chat, and asserts that they take no notice.
#[track_caller]
fn check_refusal(mut tls: TlsServer, identity: Option<&Identity>, line: &str, alert: &str) {
    let own = tls.authority.issue();
    let config = tls.authority.client_config(Some(&own));
    let mut secure = TlsClient::connect(tls.address, config);
    secure.send(b"I am in");
    assert_eq!(secure.receive(), b"I am in");
    let mut plain = tls.server.join(b"me too");
    assert_eq!(secure.receive(), b"me too");

    let config = tls.authority.client_config(identity);
    let error = TlsClient::connect(tls.address, config).refused();
    assert!(error.to_string().contains(alert), "the client got: {error}");
    let logged = tls.refusal();
    assert!(logged.contains(line), "the server logged: {logged}");

    plain.send(b"who was that?");
    assert_eq!(secure.receive(), b"who was that?");
    assert_eq!(plain.receive(), b"who was that?");
}

#[test]
fn a_client_without_a_certificate_is_refused_where_one_is_demanded() {
    let line = "it has no certificate, and only clients with one get in";
    check_refusal(TlsServer::start_strict(), None, line, "CertificateRequired");
}

#[test]
fn a_client_with_a_certificate_of_another_ca_is_refused() {
    let line = "its certificate is of another CA";
    let other = Authority::new().issue();
    check_refusal(TlsServer::start_strict(), Some(&other), line, "UnknownCA");
}

#[test]
fn a_client_with_an_expired_certificate_is_refused() {
    let tls = TlsServer::start_strict();
    let expired = tls.authority.issue_expired();
    let line = "its certificate has expired";
    check_refusal(tls, Some(&expired), line, "CertificateExpired");
}

#[test]
fn a_client_that_does_not_know_the_servers_ca_is_logged() {
    let mut tls = TlsServer::start(&[]);
    let mut other = tls.server.join(b"other");
    let config = Authority::new().client_config(None);
    let error = TlsClient::connect(tls.address, config).refused();
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
    let line = tls.refusal();
    assert!(
        line.contains("does not accept the certificate of this server: UnknownCA"),
        "{line}"
    );
    other.send(b"still here");
    assert_eq!(other.receive(), b"still here");
}

#[test]
fn plain_messages_are_refused_on_the_address_of_tls() {
    let mut tls = TlsServer::start(&[]);
    let mut other = tls.server.join(b"other");
    let mut client = Client::of(TcpStream::connect(tls.address).unwrap());
    client.send(b"hello");
    assert_eq!(
        client.try_receive(),
        None,
        "it is closed, with no byte of TLS"
    );
    let line = tls.refusal();
    assert!(line.contains("it speaks no TLS"), "{line}");
    other.send(b"not you");
    assert_eq!(other.receive(), b"not you");
}

#[test]
fn tls_is_refused_on_the_plain_address() {
    let mut tls = TlsServer::start(&[]);
    let mut other = tls.server.join(b"other");
    let config = tls.authority.client_config(None);
    let error = TlsClient::connect(tls.server.address, config).refused();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{error}");
    let line = tls.refusal();
    assert!(
        line.contains("it speaks TLS, and this address is the plain one"),
        "{line}"
    );
    other.send(b"nothing came of it");
    assert_eq!(other.receive(), b"nothing came of it");
}

#[test]
fn messages_that_only_resemble_tls_are_messages() {
    let tls = TlsServer::start(&[]);
    let mut client = tls.server.connect();
    // As a hello begins, but for one of its lengths.
    let body = [3, 1, 0, 200, 1, 0, 0, 197, 3, 3]
        .into_iter()
        .chain([0; 12]);
    let body: Vec<u8> = body.collect();
    client.send(&body);
    assert_eq!(client.receive(), body);
}

#[test]
fn clients_in_their_handshake_hold_nobody_up() {
    let mut tls = TlsServer::start(&["--tls-handshakes-max", "1", "--tls-handshake-timeout", "1s"]);
    // These say nothing, so they have no turn.
    let _silent: Vec<_> = (0..20)
        .map(|_| TcpStream::connect(tls.address).unwrap())
        .collect();
    tls.join(b"first");
    // This one has the turn, until its time is over.
    let mut holder = TcpStream::connect(tls.address).unwrap();
    holder.write_all(&[22, 3, 1]).unwrap();
    tls.server.join(b"plain clients need none");
    // It comes in while the holder has its turn, or later: by then the turn is free.
    let start = Instant::now();
    let config = tls.authority.client_config(None);
    while start.elapsed() < DEADLINE {
        let mut client = TlsClient::connect(tls.address, config.clone());
        if client.try_send(b"second").is_ok() && client.try_receive().is_ok() {
            break;
        }
    }
    let mut end = Vec::new();
    holder.set_read_timeout(Some(DEADLINE)).unwrap();
    assert_eq!(holder.read_to_end(&mut end).unwrap_or(0), 0);
    let line = tls.refusal();
    assert!(
        line.contains("it did not finish its handshake within 1s"),
        "{line}"
    );
}

#[test]
fn refused_clients_leave_nothing_behind() {
    let tls = TlsServer::start_strict();
    let before = tls.server.descriptor_count();
    for _ in 0..50 {
        tls.connect().refused();
        let mut plain = Client::of(TcpStream::connect(tls.address).unwrap());
        plain.send_raw(b"\x05hello");
        assert_eq!(plain.try_receive(), None);
    }
    tls.server.wait_for_descriptors(before);
    let log = tls.server.end();
    assert_eq!(log.lines().count(), 2, "one line a reason: {log}");
}

/// Asserts that a server does not start, and how it says why.
#[track_caller]
fn check_start_error(args: &[&str], code: i32, said: &[&str]) {
    let output = run(chat_server().arg("127.0.0.1:0").args(args), b"");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    for part in said {
        assert!(stderr.contains(part), "{part:?} is not in: {stderr}");
    }
    if code == 1 {
        assert!(stderr.starts_with("error: "), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}

#[test]
fn files_that_are_no_good_are_told_at_the_start() {
    let folder = Folder::new();
    let authority = Authority::new();
    let identity = authority.issue();
    let cert = &*folder.write("cert.pem", &identity.cert);
    let key = &*folder.write("key.pem", &identity.key);
    let other_key = &*folder.write("other-key.pem", &authority.issue().key);
    let expired_identity = authority.issue_expired();
    let expired = &*folder.write("expired.pem", &expired_identity.cert);
    let expired_key = &*folder.write("expired-key.pem", &expired_identity.key);
    let early_identity = authority.issue_as(|params| {
        params.not_before = rcgen::date_time_ymd(2999, 1, 1);
        params.not_after = rcgen::date_time_ymd(3000, 1, 1);
    });
    let early = &*folder.write("early.pem", &early_identity.cert);
    let early_key = &*folder.write("early-key.pem", &early_identity.key);
    let text = &*folder.write("text.pem", "no certificate\n");
    let cut = &*folder.write("cut.pem", &identity.cert[..identity.cert.len() / 2]);
    let nothing = &*(text.to_owned() + ".not-there");
    let check = |cert: &str, key: &str, said: &[&str]| {
        let tls = [
            "--tls-listen",
            "127.0.0.1:0",
            "--tls-cert",
            cert,
            "--tls-key",
            key,
        ];
        check_start_error(&tls, 1, said);
    };
    check(nothing, key, &["cannot read", nothing, "No such file"]);
    check(cert, nothing, &["cannot read", nothing]);
    check(text, key, &["has no certificate", text]);
    check(key, cert, &["has no certificate", key]);
    check(cert, cert, &["has no key", cert]);
    check(cut, key, &["is damaged: a part has no line `-----END", cut]);
    check(
        cert,
        other_key,
        &["the key in", other_key, "is not that of", cert],
    );
    check(expired, expired_key, &["expired", "days ago", expired]);
    check(early, early_key, &["not valid for another", "days", early]);
    let tls = [
        "--tls-listen",
        "127.0.0.1:0",
        "--tls-cert",
        cert,
        "--tls-key",
        key,
    ];
    let with_ca = |path| [&tls[..], &["--tls-client-ca", path]].concat();
    check_start_error(&with_ca(text), 1, &["has no certificate", text]);
    check_start_error(&with_ca(expired), 1, &["expired", expired]);
    check_start_error(&tls[..4], 2, &["tls-listen needs tls-key"]);
    check_start_error(&tls[2..], 2, &["no tls-listen"]);
}
