//! Certificates, from files and from the system, and a check that checks nothing.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, InconsistentKeys, RootCertStore, SignatureScheme};

/// Says why there can be no TLS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The failure.
        source: io::Error,
    },
    /// A file has no certificate.
    #[error("{} has no certificate: it needs a part `-----BEGIN CERTIFICATE-----`", .0.display())]
    NoCertificate(PathBuf),
    /// A file has no key.
    #[error("{} has no key: it needs a part `-----BEGIN PRIVATE KEY-----`, without a password", .0.display())]
    NoKey(PathBuf),
    /// A file begins as PEM, and is none.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The failure.
        reason: String,
    },
    /// A certificate and a key do not belong together.
    #[error(
        "the key in {} is not that of the first certificate in {}; give the files that were made together",
        key.display(),
        cert.display()
    )]
    WrongKey {
        /// The file with the certificate.
        cert: PathBuf,
        /// The file with the key.
        key: PathBuf,
    },
    /// The content of a file cannot be used.
    #[error("cannot use {}: {reason}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// No server could be accepted.
    #[error("this system has no certificates of CAs; name a file with some (--tls-ca)")]
    NoSystemRoots,
    /// There is no way to speak TLS.
    #[error("cannot speak TLS: {0}")]
    Tls(#[source] Error),
}

impl TlsError {
    pub(crate) fn of_identity(cert: &Path, key: &Path, error: Error) -> Self {
        match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => Self::WrongKey {
                cert: cert.to_owned(),
                key: key.to_owned(),
            },
            error => unusable(key, &error),
        }
    }
}

/// Reads a client's certificate with those after it, and its key.
pub(crate) fn read_identity(
    cert: &Path,
    key: &Path,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    Ok((read_certs(cert)?, read_key(key)?))
}

/// Reads the certificates of CAs.
pub(crate) fn read_roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for cert in read_certs(path)? {
        roots.add(cert).map_err(|error| unusable(path, &error))?;
    }
    Ok(roots)
}

/// Returns the CAs that the system accepts. Single ones that cannot be read are left out.
pub(crate) fn system_roots() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let (added_count, _) =
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added_count == 0 {
        return Err(TlsError::NoSystemRoots);
    }
    Ok(roots)
}

/// Reads the certificates in a file in PEM, at least one.
///
/// # Errors
///
/// [`TlsError`] when the file cannot be read, has none, or is damaged.
pub fn read_certs(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read(path)?;
    let certs = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    let certs = certs.map_err(|error| damaged(path, &error))?;
    if certs.is_empty() {
        return Err(TlsError::NoCertificate(path.to_owned()));
    }
    Ok(certs)
}

/// Reads the first private key in a file in PEM.
///
/// # Errors
///
/// [`TlsError`] when the file cannot be read, has none, or is damaged.
pub fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsError::NoKey(path.to_owned()),
        error => damaged(path, &error),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Read {
        path: path.to_owned(),
        source,
    })
}

fn damaged(path: &Path, error: &pem::Error) -> TlsError {
    TlsError::Damaged {
        path: path.to_owned(),
        reason: match error {
            pem::Error::MissingSectionEnd { .. } => "a part has no line `-----END ...`".to_owned(),
            pem::Error::IllegalSectionStart { .. } => {
                "a line `-----BEGIN ...` does not end with `-----`".to_owned()
            }
            error => error.to_string(),
        },
    }
}

fn unusable(path: &Path, error: &Error) -> TlsError {
    TlsError::Unusable {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

/// Accepts any certificate. The server still has to have its key.
#[derive(Debug)]
pub(crate) struct TrustAll(WebPkiSupportedAlgorithms);

impl TrustAll {
    pub(crate) fn new(provider: &CryptoProvider) -> Self {
        Self(provider.signature_verification_algorithms)
    }
}

impl ServerCertVerifier for TrustAll {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
