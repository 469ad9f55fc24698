//! The files of TLS, read and checked.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chat_tls::{read_certs, read_key};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{CertificateError, Error, InconsistentKeys, RootCertStore, ServerConfig};
use tracing::warn;

/// Where a server has its certificate, and whom it lets in.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) client_ca: Option<PathBuf>,
}

/// Why the server cannot speak TLS.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("tls-listen needs {0}, too: a certificate and its key")]
    Missing(&'static str),
    #[error(
        "there are files for TLS, and no tls-listen, nor a socket called tls that was handed over, to say where"
    )]
    NoAddress,
    #[error(transparent)]
    File(#[from] chat_tls::TlsError),
    #[error(
        "the key in {} is not that of the first certificate in {}; give the files that were made \
         together, with the server's own certificate first",
        key.display(),
        cert.display()
    )]
    WrongKey { cert: PathBuf, key: PathBuf },
    #[error("a certificate in {} expired {} ago; get a new one", path.display(), rough(*since))]
    Expired { path: PathBuf, since: Duration },
    #[error(
        "a certificate in {} is not valid for another {}; is the clock right?",
        path.display(),
        rough(*left)
    )]
    NotYetValid { path: PathBuf, left: Duration },
    #[error("cannot use {}: {source}", path.display())]
    Unusable { path: PathBuf, source: Error },
}

impl TlsError {
    /// Tells whether the options are wrong, whatever is in the files.
    pub(crate) fn is_usage(&self) -> bool {
        matches!(self, Self::Missing(_) | Self::NoAddress)
    }
}

impl Files {
    /// Reads the files, and checks them as far as that can be done without a client.
    pub(crate) fn read(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let certs = read_certs(&self.cert)?;
        let key = read_key(&self.key)?;
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&self.cert, error))?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let roots = Arc::new(read_roots(path)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
                let verifier = verifier.map_err(|error| {
                    let source = Error::General(error.to_string());
                    unusable(path, source)
                })?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config =
            builder
                .with_single_cert(certs.clone(), key)
                .map_err(|error| match error {
                    Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::WrongKey {
                        cert: self.cert.clone(),
                        key: self.key.clone(),
                    },
                    error => unusable(&self.key, error),
                })?;
        check_times(&self.cert, &certs)?;
        // A client that comes again has its certificate checked again, by what holds then. And
        // nothing is sent that a client did not ask for.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Arc::new(config))
    }
}

fn read_roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let certs = read_certs(path)?;
    check_times(path, &certs)?;
    let mut roots = RootCertStore::empty();
    for cert in certs {
        roots.add(cert).map_err(|error| unusable(path, error))?;
    }
    Ok(roots)
}

/// Checks that certificates are valid now, and warns when they are not for long.
fn check_times(path: &Path, certs: &[CertificateDer<'static>]) -> Result<(), TlsError> {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = since_epoch.unwrap_or_default();
    for cert in certs {
        check_time(path, cert, now)?;
        if let Err(TlsError::Expired { since, .. }) = check_time(path, cert, now + WARNED_AHEAD) {
            let left = rough(WARNED_AHEAD.saturating_sub(since));
            warn!(path = %path.display(), "a certificate expires in {left}");
        }
    }
    Ok(())
}

/// Checks whether a certificate is valid at a time, and nothing else: its CA is not known here.
/// A verifier looks at the time first, before it looks for a CA.
fn check_time(path: &Path, cert: &CertificateDer<'_>, at: Duration) -> Result<(), TlsError> {
    let mut roots = RootCertStore::empty();
    roots
        .add(cert.clone().into_owned())
        .map_err(|error| unusable(path, error))?;
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| unusable(path, Error::General(error.to_string())))?;
    let name = ServerName::try_from("any").expect("it is a name");
    let verified =
        verifier.verify_server_cert(cert, &[], &name, &[], UnixTime::since_unix_epoch(at));
    let path = path.to_owned();
    match verified {
        Err(Error::InvalidCertificate(CertificateError::ExpiredContext { time, not_after })) => {
            let since = Duration::from_secs(time.as_secs() - not_after.as_secs());
            Err(TlsError::Expired { path, since })
        }
        Err(Error::InvalidCertificate(CertificateError::NotValidYetContext {
            time,
            not_before,
        })) => {
            let left = Duration::from_secs(not_before.as_secs() - time.as_secs());
            Err(TlsError::NotYetValid { path, left })
        }
        _ => Ok(()),
    }
}

fn unusable(path: &Path, source: Error) -> TlsError {
    TlsError::Unusable {
        path: path.to_owned(),
        source,
    }
}

/// Returns a time in its largest unit, as people say it.
fn rough(time: Duration) -> String {
    let seconds = time.as_secs();
    let (count, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7200 => (seconds / 60, "minute"),
        7200..172_800 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

/// How long before its end a certificate is warned of. A judgement: those that renew themselves do
/// so earlier.
const WARNED_AHEAD: Duration = Duration::from_secs(7 * 86_400);
