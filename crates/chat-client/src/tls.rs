//! Connecting over TLS.

mod files;
mod session;

use std::io;
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use self::files::{TrustAll, read_identity, read_roots, system_roots};
use crate::{Address, ConnectError, Stream};

pub use self::files::TlsError;
pub(crate) use self::session::TlsSession;

/// How a client connects over TLS: which servers it accepts, and its own certificate.
///
/// It is TLS 1.3 alone, which lets a client end its sending side and still receive.
///
/// # Examples
///
/// ```
/// use chat_client::{Tls, TlsOptions};
///
/// let options = TlsOptions { ca: Some("/there/is/no/such/file".into()), ..Default::default() };
/// let error = Tls::new(&options).unwrap_err();
/// assert!(error.to_string().starts_with("cannot read /there/is/no/such/file: "));
/// ```
#[derive(Clone, Debug)]
pub struct Tls {
    config: Arc<ClientConfig>,
}

/// What [`Tls`] is made of.
#[derive(Clone, Debug, Default)]
pub struct TlsOptions {
    /// A file with the certificates of the CAs whose servers are accepted, in PEM. Without it these
    /// are the CAs of the system.
    pub ca: Option<PathBuf>,
    /// The client's own certificate and its key, in PEM, for servers that demand one.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Which servers are accepted.
    pub trust: Trust,
}

/// Which servers are accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Those with a certificate of a CA, for the name or the IP address that was connected to.
    #[default]
    Checked,
    /// All. Anybody on the way can be the server, and read and change every message.
    Anybody,
}

impl Tls {
    /// Reads and checks the files.
    ///
    /// # Errors
    ///
    /// [`TlsError`] when a file is missing or no good.
    pub fn new(options: &TlsOptions) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let verifier = verifier(options, &provider)?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Tls)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let config = match &options.identity {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => {
                let (certs, private) = read_identity(cert, key)?;
                builder
                    .with_client_auth_cert(certs, private)
                    .map_err(|error| TlsError::of_identity(cert, key, error))?
            }
        };
        Ok(Self {
            config: Arc::new(config),
        })
    }

    /// Connects to the first of the host's addresses that answers, and does the handshake, within
    /// `timeout`.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] when no address answers, or with why there is no TLS. A server that refuses
    /// the client's certificate says so later: reading fails then.
    pub fn connect(&self, address: &Address, timeout: Duration) -> Result<Stream, ConnectError> {
        let start = Instant::now();
        let socket = address.connect(timeout)?;
        let deadline = start + timeout;
        self.shake(&socket, address, deadline)
            .map(|session| Stream::over_tls(socket, session))
            .map_err(|source| address.error(Vec::new(), source))
    }

    fn shake(
        &self,
        socket: &TcpStream,
        address: &Address,
        deadline: Instant,
    ) -> io::Result<TlsSession> {
        let name = ServerName::try_from(address.host().to_owned()).map_err(io::Error::other)?;
        let connection = ClientConnection::new(self.config.clone(), name);
        let mut connection = connection.map_err(io::Error::other)?;
        session::shake(socket, &mut connection, deadline)?;
        Ok(TlsSession::new(connection))
    }
}

fn verifier(
    options: &TlsOptions,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    if options.trust == Trust::Anybody {
        return Ok(Arc::new(TrustAll::new(provider)));
    }
    let roots = match &options.ca {
        Some(path) => read_roots(path)?,
        None => system_roots()?,
    };
    let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let verifier = builder.build().map_err(|_| TlsError::NoSystemRoots)?;
    Ok(verifier)
}
