use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::run::{Run, Running, path, run, stresstest};

/// Serves each connection in a thread of its own, until this process ends.
fn listen(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map(Result::unwrap) {
            let serve = serve.clone();
            thread::spawn(move || serve(stream));
        }
    });
    addr
}

/// Runs stresstest over TLS on a server that runs already.
fn connect(addr: SocketAddr, options: &[&str]) -> Run {
    let addr = addr.to_string();
    let options = [&["--connect", &addr, "--tls", "--timeout", "3s"], options].concat();
    Running::start_command(stresstest().args(options)).wait()
}

/// Serves over TLS with a certificate that it has made itself: answers each connection's first bytes
/// with `answer`, and goes.
fn serve_tls(stream: TcpStream, config: Arc<ServerConfig>, answer: &[u8]) {
    let connection = ServerConnection::new(config).unwrap();
    let mut stream = StreamOwned::new(connection, stream);
    // Some clients do not go on.
    let mut buf = [0; 512];
    if std::io::Read::read(&mut stream, &mut buf).is_ok() {
        let _ = stream.write_all(answer);
    }
}

fn config() -> Arc<ServerConfig> {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    config.into()
}

#[test]
fn a_server_that_speaks_no_tls_is_told_of() {
    // One that sends something else, one that ends, and one that says nothing.
    let addr = listen(|mut stream| {
        let _ = stream.write_all(b"\x05hello");
        thread::park();
    });
    let insecure = ["--tls-insecure"];
    connect(addr, &insecure).check(1, &["failed: the server speaks no TLS"]);
    let addr = listen(drop);
    connect(addr, &insecure).check(1, &["the server closed during the handshake"]);
    let addr = listen(|_stream| thread::park());
    connect(addr, &insecure).check(1, &["there was no handshake of TLS"]);
}

#[test]
fn a_stream_over_tls_that_just_ends_is_told_of() {
    let config = config();
    // It answers with half a message, and does not say that this is all.
    let addr = listen(move |stream| serve_tls(stream, Arc::clone(&config), b"\x05hel"));
    let run = connect(addr, &["--tls-insecure"]);
    run.check(
        1,
        &["the connection ended, though the server did not say so"],
    );
}

#[test]
fn a_server_of_an_unknown_ca_is_refused() {
    let config = config();
    let addr = listen(move |stream| serve_tls(stream, Arc::clone(&config), b""));
    let ca = path("other-ca.pem");
    let other = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(&ca, other.cert.pem()).unwrap();
    let run = connect(addr, &["--tls-ca", ca.to_str().unwrap()]);
    run.check(1, &["is of no CA that this client accepts"]);
}

#[test]
fn a_server_that_tells_no_address_of_tls_is_not_ready() {
    let told = "error: the server printed no line `listening on ADDRESS with TLS` within 2 s\n\
                the last it printed on stdout:\n  listening on 127.0.0.1:";
    run("honest", &["--tls", "--tls-insecure", "--timeout", "2s"]).check(1, &[told]);
}

#[test]
fn files_that_are_no_good_are_told_before_anything_is_started() {
    let text = path("text.pem");
    std::fs::write(&text, "no certificate").unwrap();
    let cut = path("cut.pem");
    std::fs::write(&cut, "-----BEGIN CERTIFICATE-----\nMIIB\n").unwrap();
    for (file, told) in [
        (
            "/nonexistent/ca.pem",
            "error: cannot read /nonexistent/ca.pem: ",
        ),
        (text.to_str().unwrap(), "text.pem has no certificate"),
        (
            cut.to_str().unwrap(),
            "cut.pem is damaged: a part has no line `-----END ...`",
        ),
    ] {
        let run = run("honest", &["--tls", "--tls-ca", file]);
        run.check(1, &[told]);
        assert!(!run.was_server_started);
    }
}

#[test]
fn what_makes_no_sense_over_tls_is_refused() {
    for (options, told) in [
        (&["--tls-ca", "ca.pem"][..], "--tls"),
        (&["--tls", "--tls-cert", "cert.pem"], "--tls-key"),
        (
            &["--tls", "--calibrate"],
            "--calibrate tells what this program can do without TLS",
        ),
        (
            &["--tls", "--protocol", "nats"],
            "--tls is for the protocol of the chat, and not for that of nats",
        ),
    ] {
        let run = run("honest", options);
        run.check(2, &[told]);
        assert!(!run.was_server_started);
    }
}
