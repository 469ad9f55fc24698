use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use crate::client::{Client, Ended};
use crate::server::{Server, echo};

/// A CA and a certificate with its key, in files; they are removed when this goes out of scope.
struct Files {
    folder: PathBuf,
}

impl Files {
    /// Makes some for a name.
    fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = format!("commandline-client-tls-{}-{count}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        fs::create_dir(&folder).unwrap();
        let ca_key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = params.self_signed(&ca_key).unwrap();
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::new(params, ca_key);
        let cert = CertificateParams::new([name.to_owned()]).unwrap();
        let cert = cert.signed_by(&key, &issuer).unwrap();
        let files = Self { folder };
        fs::write(files.path("ca.pem"), ca.pem()).unwrap();
        fs::write(files.path("cert.pem"), cert.pem()).unwrap();
        fs::write(files.path("key.pem"), key.serialize_pem()).unwrap();
        fs::write(files.path("text.pem"), "nothing").unwrap();
        files
    }

    fn path(&self, name: &str) -> String {
        self.folder
            .join(name)
            .into_os_string()
            .into_string()
            .unwrap()
    }

    fn cert(&self, name: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.path(name)).unwrap()
    }

    /// Returns what a server needs that has the certificate, and may demand one of the CA.
    fn server_config(&self, is_strict: bool) -> Arc<ServerConfig> {
        let provider = Arc::new(ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.cert("ca.pem")).unwrap();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let builder = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if is_strict {
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::from_pem_file(self.path("key.pem")).unwrap();
        let config = builder.with_single_cert(vec![self.cert("cert.pem")], key);
        Arc::new(config.unwrap())
    }

    /// Starts a server for one client, which returns its bytes to it until it ends its sending side.
    /// The outcome is how many bytes there were.
    fn serve(&self, is_strict: bool) -> Server<io::Result<usize>> {
        let config = self.server_config(is_strict);
        Server::start(move |socket| {
            let connection = ServerConnection::new(config).unwrap();
            let mut stream = StreamOwned::new(connection, socket);
            let (mut count, mut buf) = (0, [0; 4096]);
            loop {
                match stream.read(&mut buf) {
                    Ok(0) => break,
                    Ok(len) => {
                        stream.write_all(&buf[..len])?;
                        count += len;
                    }
                    Err(error) => {
                        // What the client sends after it was refused is not to keep it from the
                        // reason.
                        let _ = io::copy(&mut stream.sock, &mut io::sink());
                        return Err(error);
                    }
                }
            }
            stream.conn.send_close_notify();
            stream.flush()?;
            Ok(count)
        })
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Runs a client over TLS with the given input.
fn run(address: &str, args: &[&str], input: impl Into<Vec<u8>>) -> Ended {
    let args = [&[address, "--tls"], args].concat();
    let mut client = Client::start_args(args, Stdio::piped(), Stdio::piped());
    client.feed(input);
    client.finish()
}

/// Asserts that a client failed with one line that has some words in it.
#[track_caller]
fn check_failed(ended: &Ended, words: &str) {
    let Ended { code, errors, .. } = ended;
    assert_eq!(*code, 1, "{errors}");
    assert!(
        errors.starts_with("error: ") && errors.contains(words),
        "{errors}"
    );
    assert_eq!(errors.lines().count(), 1, "{errors}");
}

#[test]
fn lines_come_back_over_tls() {
    let files = Files::new("127.0.0.1");
    let server = files.serve(false);
    let lines: String = (0..100_000)
        .map(|number| format!("{number:039}\n"))
        .collect();
    let ended = run(
        &server.address,
        &["--tls-ca", &files.path("ca.pem")],
        lines.clone(),
    );
    assert_eq!((ended.code, &*ended.errors), (0, ""));
    assert!(
        ended.output == lines.as_bytes(),
        "all lines came back in order"
    );
    assert_eq!(server.outcome().unwrap(), lines.len());
}

#[test]
fn a_client_shows_its_certificate_where_one_is_demanded() {
    let files = Files::new("127.0.0.1");
    let (ca, cert, key) = (
        files.path("ca.pem"),
        files.path("cert.pem"),
        files.path("key.pem"),
    );
    let server = files.serve(true);
    let args = ["--tls-ca", &ca, "--tls-cert", &cert, "--tls-key", &key];
    let ended = run(&server.address, &args, "hello\n");
    assert_eq!((ended.code, &*ended.errors), (0, ""));
    assert_eq!(ended.output, b"hello\n");

    let server = files.serve(true);
    let ended = run(&server.address, &args[..2], "hello\n");
    check_failed(&ended, "the server lets only clients with a certificate in");
    server.outcome().unwrap_err();

    let others = Files::new("127.0.0.1");
    let (cert, key) = (others.path("cert.pem"), others.path("key.pem"));
    let server = files.serve(true);
    let args = ["--tls-ca", &ca, "--tls-cert", &cert, "--tls-key", &key];
    let ended = run(&server.address, &args, "hello\n");
    check_failed(
        &ended,
        "the server does not accept this client's certificate",
    );
    server.outcome().unwrap_err();
}

#[test]
fn a_server_of_another_ca_is_refused_unless_any_is_accepted() {
    let (files, others) = (Files::new("127.0.0.1"), Files::new("127.0.0.1"));
    let server = files.serve(false);
    let ended = run(
        &server.address,
        &["--tls-ca", &others.path("ca.pem")],
        "hello\n",
    );
    check_failed(
        &ended,
        "the server's certificate is of no CA that this client accepts",
    );
    server.outcome().unwrap_err();

    let server = files.serve(false);
    let ended = run(&server.address, &["--tls-insecure"], "hello\n");
    assert_eq!(ended.code, 0, "{}", ended.errors);
    assert_eq!(ended.output, b"hello\n");
    assert!(
        ended.errors.starts_with("warning: any server is accepted"),
        "{}",
        ended.errors
    );
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let files = Files::new("chat.example");
    let server = files.serve(false);
    let ended = run(
        &server.address,
        &["--tls-ca", &files.path("ca.pem")],
        "hello\n",
    );
    check_failed(&ended, "chat.example");
    server.outcome().unwrap_err();
}

#[test]
fn a_server_that_speaks_no_tls_is_told() {
    let files = Files::new("127.0.0.1");
    let args = ["--tls-ca", &files.path("ca.pem")];
    // A chat gives the hello back.
    let server = Server::start(echo);
    check_failed(
        &run(&server.address, &args, "hello\n"),
        "the server speaks no TLS",
    );
    let server = Server::start(|mut stream: TcpStream| stream.write_all(b"\x05hello").unwrap());
    check_failed(&run(&server.address, &args, "hello\n"), "TLS");
    let server = Server::start(|mut stream: TcpStream| {
        stream.read_exact(&mut [0; 5]).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        io::copy(&mut stream, &mut io::sink()).unwrap();
    });
    check_failed(
        &run(&server.address, &args, "hello\n"),
        "closed during the handshake",
    );
    let server = Server::start(|mut stream: TcpStream| io::copy(&mut stream, &mut io::sink()));
    let ended = run(
        &server.address,
        &[&args[..], &["--connect-timeout", "1s"]].concat(),
        "hello\n",
    );
    check_failed(&ended, "there was no handshake in time");
}

#[test]
fn a_connection_that_ends_without_a_word_is_an_error() {
    let files = Files::new("127.0.0.1");
    let config = files.server_config(false);
    let server = Server::start(move |socket| {
        let connection = ServerConnection::new(config).unwrap();
        let mut stream = StreamOwned::new(connection, socket);
        stream.write_all(b"\x05hello").unwrap();
        stream.flush().unwrap();
        // All that the client ever sends, so that nothing is left unread.
        stream.read_exact(&mut [0; 4]).unwrap();
        stream.sock.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = io::copy(&mut stream.sock, &mut io::sink());
    });
    let ended = run(
        &server.address,
        &["--tls-ca", &files.path("ca.pem")],
        "you\n",
    );
    assert_eq!(ended.output, b"hello\n");
    check_failed(
        &ended,
        "the connection ended, though the server did not say so",
    );
    server.outcome();
}

#[test]
fn files_that_are_no_good_are_told() {
    let (files, others) = (Files::new("127.0.0.1"), Files::new("127.0.0.1"));
    let (cert, key) = (files.path("cert.pem"), files.path("key.pem"));
    let (text, other) = (files.path("text.pem"), others.path("key.pem"));
    let nothing = files.path("not-there.pem");
    let run = |args: &[&str]| run("127.0.0.1:1", args, "");
    check_failed(&run(&["--tls-ca", &nothing]), "cannot read");
    check_failed(&run(&["--tls-ca", &text]), "has no certificate");
    check_failed(
        &run(&["--tls-cert", &cert, "--tls-key", &text]),
        "has no key",
    );
    check_failed(
        &run(&["--tls-cert", &cert, "--tls-key", &other]),
        "is not that of",
    );
    assert_eq!(run(&["--tls-cert", &cert]).code, 2);
    assert_eq!(run(&["--tls-key", &key]).code, 2);
    assert_eq!(run(&["--tls-insecure", "--tls-ca", &text]).code, 2);
}
