//! Clients over TLS: its options, its certificate, and the way from a connection to a session.
//!
//! A session knows nothing of TLS: it gets a stream. Until a client has one, it costs others as
//! little as can be: accepting never waits for a handshake, and there is a bound on how many are
//! under way.

mod files;
mod handshake;
mod refusals;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_lock::Semaphore;
use futures::channel::oneshot;
use futures::future::{FutureExt, Shared};
use rustls::ServerConfig;
use tracing::info;

use crate::address::Address;
use crate::args::{parse_address, parse_timeout};
use crate::tls::files::Files;
use crate::tls::refusals::TlsOnPlain;

pub(crate) use crate::tls::files::TlsError;
pub(crate) use crate::tls::refusals::{note_tls_on_plain, refused};

/// The options of TLS.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "TLS")]
pub(crate) struct TlsArgs {
    /// Address for clients that speak TLS 1.3; the ready line is followed by one more,
    /// `listening on ADDRESS with TLS`. The plain address stays: leave it on 127.0.0.1 to have it for
    /// this machine alone
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    tls_listen: Option<Address>,

    /// The server's certificate, in PEM, and after it those between it and its CA
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,

    /// The key of the certificate, in PEM
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,

    /// Let only clients in that have a certificate of a CA in this file, in PEM
    #[arg(long, value_name = "FILE")]
    tls_client_ca: Option<PathBuf>,

    /// How long a client may take for its handshake, and for its turn to begin it
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_timeout)]
    tls_handshake_timeout: Duration,

    /// How many handshakes may be under way at a time; further clients wait for their turn
    #[arg(
        long,
        value_name = "N",
        default_value_t = HANDSHAKE_COUNT_MAX,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    tls_handshakes_max: u32,
}

/// What serving clients over TLS takes. It is shared by its clones.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    shared: Arc<SharedTls>,
    /// Is ready when the server ends.
    ending: Shared<oneshot::Receiver<()>>,
}

#[derive(Debug)]
struct SharedTls {
    files: Files,
    /// What new clients are served with.
    config: RwLock<Arc<ServerConfig>>,
    /// One for each handshake that may begin.
    turns: Semaphore,
    timeout: Duration,
}

/// Ends the handshakes that are under way when it is dropped.
pub(crate) type Ending = oneshot::Sender<()>;

impl TlsArgs {
    /// Returns where to listen for clients that speak TLS, if anywhere.
    pub(crate) fn addresses(&self) -> Vec<Address> {
        self.tls_listen.iter().cloned().collect()
    }

    /// Reads and checks the certificate, if there is one. Where it is for is not known without serving:
    /// a socket may be handed over.
    pub(crate) fn check(&self) -> Result<(), TlsError> {
        let files = [&self.tls_cert, &self.tls_key, &self.tls_client_ca];
        let is_wanted = self.tls_listen.is_some() || files.iter().any(|file| file.is_some());
        let places: &[()] = if is_wanted { &[()] } else { &[] };
        self.open(places).map(drop)
    }

    /// Reads and checks the certificate. Returns what TLS takes, if there is to be TLS: if there are
    /// `places` where clients speak it.
    pub(crate) fn open<T>(&self, places: &[T]) -> Result<Option<(Tls, Ending)>, TlsError> {
        // Not checked by the parser: what a configuration says is a default to it.
        let (cert, key) = match (places, &self.tls_cert, &self.tls_key) {
            ([], None, None) if self.tls_client_ca.is_none() => return Ok(None),
            ([], ..) => return Err(TlsError::NoAddress),
            (_, Some(cert), Some(key)) => (cert, key),
            (_, None, _) => return Err(TlsError::Missing("tls-cert")),
            (_, _, None) => return Err(TlsError::Missing("tls-key")),
        };
        let files = Files {
            cert: cert.clone(),
            key: key.clone(),
            client_ca: self.tls_client_ca.clone(),
        };
        let (ending, ended) = oneshot::channel();
        let shared = SharedTls {
            config: RwLock::new(files.read()?),
            files,
            turns: Semaphore::new(self.tls_handshakes_max as usize),
            timeout: self.tls_handshake_timeout,
        };
        let tls = Tls {
            shared: Arc::new(shared),
            ending: ended.shared(),
        };
        Ok(Some((tls, ending)))
    }
}

impl Tls {
    /// Reads the files again, for clients that connect from now on. Where they are no good, the
    /// server goes on with what it has.
    pub(crate) fn reload(&self) -> Result<(), TlsError> {
        let config = self.shared.files.read()?;
        let before = {
            let mut current = self.shared.config.write();
            let current = current.as_mut().unwrap_or_else(|error| error.get_mut());
            std::mem::replace(&mut **current, config)
        };
        drop(before);
        info!(cert = %self.shared.files.cert.display(), "read the certificate again");
        Ok(())
    }

    fn config(&self) -> Arc<ServerConfig> {
        let config = self.shared.config.read();
        config.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Fails when what a client of a plain address sent first is the hello of TLS.
///
/// Of the bytes that a chat may begin with these are eleven, of which two lengths agree; nobody
/// begins so by chance. Source: RFC 8446, sections 4.1.2 and 5.1.
pub(crate) fn refuse_hello(received: &[u8]) -> io::Result<()> {
    let &[
        22,
        3,
        1..=3,
        len_high,
        len_low,
        1,
        0,
        inner_high,
        inner_low,
        3,
        3,
        ..,
    ] = received
    else {
        return Ok(());
    };
    let record_len = u16::from_be_bytes([len_high, len_low]);
    let hello_len = u16::from_be_bytes([inner_high, inner_low]);
    if record_len.checked_sub(HANDSHAKE_HEADER_LEN) != Some(hello_len) {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, TlsOnPlain))
}

/// Length in bytes of what a record has before the hello itself: its type and its length.
const HANDSHAKE_HEADER_LEN: u16 = 4;

/// How many handshakes are under way at most. A judgement: each holds some tens of kilobytes and
/// takes a fraction of a millisecond of a processor, so this is more than the server does at once.
const HANDSHAKE_COUNT_MAX: u32 = 256;

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use rustls::crypto::ring;
    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConnection};

    use super::*;

    /// Files for one test; they are removed when this goes out of scope.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let path = std::env::temp_dir().join(format!("chat-server-{}", std::process::id()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        /// Writes a new certificate and its key; returns what a client needs that accepts it alone.
        fn renew(&self) -> Arc<ClientConfig> {
            let CertifiedKey { cert, signing_key } =
                generate_simple_self_signed(["chat".to_owned()]).unwrap();
            fs::write(self.0.join("cert"), cert.pem()).unwrap();
            fs::write(self.0.join("key"), signing_key.serialize_pem()).unwrap();
            let mut roots = RootCertStore::empty();
            roots.add(cert.der().clone()).unwrap();
            let provider = Arc::new(ring::default_provider());
            let builder = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .unwrap();
            Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
        }

        fn open(&self) -> Tls {
            let args = TlsArgs {
                tls_listen: None,
                tls_cert: Some(self.0.join("cert")),
                tls_key: Some(self.0.join("key")),
                tls_client_ca: None,
                tls_handshake_timeout: Duration::from_secs(10),
                tls_handshakes_max: 1,
            };
            args.open(&["here"]).unwrap().unwrap().0
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// Does a handshake in memory, with what a new client would be served with.
    fn shake(tls: &Tls, config: &Arc<ClientConfig>) -> Result<(), rustls::Error> {
        let mut server = ServerConnection::new(tls.config()).unwrap();
        let name = ServerName::try_from("chat").unwrap();
        let mut client = ClientConnection::new(config.clone(), name).unwrap();
        while client.is_handshaking() || server.is_handshaking() {
            let mut wire = Vec::new();
            client.write_tls(&mut wire).unwrap();
            server.read_tls(&mut &wire[..]).unwrap();
            server.process_new_packets()?;
            wire.clear();
            server.write_tls(&mut wire).unwrap();
            client.read_tls(&mut &wire[..]).unwrap();
            client.process_new_packets()?;
        }
        Ok(())
    }

    #[test]
    fn new_clients_get_the_certificate_that_was_read_last() {
        let folder = Folder::new();
        let old = folder.renew();
        let tls = folder.open();
        shake(&tls, &old).unwrap();

        // Nothing changes until it is read, and nothing where it cannot be.
        let new = folder.renew();
        shake(&tls, &old).unwrap();
        let cert = fs::read(folder.0.join("cert")).unwrap();
        fs::write(folder.0.join("cert"), "half of it was written").unwrap();
        let error = tls.reload().unwrap_err();
        assert!(error.to_string().contains("no certificate"), "{error}");
        shake(&tls, &old).unwrap();

        fs::write(folder.0.join("cert"), cert).unwrap();
        tls.reload().unwrap();
        shake(&tls, &new).unwrap();
        shake(&tls, &old).unwrap_err();
    }

    #[test]
    fn the_hello_of_tls_is_told_from_messages() {
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        let name = ServerName::try_from("chat").unwrap();
        let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut hello = Vec::new();
        client.write_tls(&mut hello).unwrap();
        refuse_hello(&hello).unwrap_err();
        for len in 0..11 {
            refuse_hello(&hello[..len]).unwrap();
        }
        refuse_hello(b"\x16 a body of 22 bytes length").unwrap();
        for index in 0..11 {
            hello[index] ^= 0x80;
            refuse_hello(&hello).unwrap();
            hello[index] ^= 0x80;
        }
    }
}
