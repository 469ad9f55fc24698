//! How a client connects over TLS.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use crate::files::{TlsError, TrustAll, read_identity, read_roots, system_roots};

/// How a client connects over TLS: which servers it accepts, and its own certificate.
///
/// It is TLS 1.3 alone, which lets a client end its sending side and still receive.
///
/// # Examples
///
/// ```
/// use chat_tls::{Tls, TlsOptions};
///
/// let options = TlsOptions { ca: Some("/there/is/no/such/file".into()), ..Default::default() };
/// let error = Tls::new(&options).unwrap_err();
/// assert!(error.to_string().starts_with("cannot read /there/is/no/such/file: "));
/// ```
#[derive(Clone, Debug)]
pub struct Tls {
    config: Arc<ClientConfig>,
    /// The names of addresses that were found by a name.
    hosts: Vec<(SocketAddr, String)>,
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
            hosts: Vec::new(),
        })
    }

    /// Notes the name or the IP address that an address was found by: the server there has to have a
    /// certificate for it. Without, it has to have one for its IP address.
    pub fn add_host(&mut self, addr: SocketAddr, host: impl Into<String>) {
        self.hosts.push((addr, host.into()));
    }

    /// Begins a session with a server that has to have a certificate for `host`, a name or an IP
    /// address.
    ///
    /// # Errors
    ///
    /// When `host` is neither.
    pub fn session(&self, host: &str) -> io::Result<ClientConnection> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        self.begin(name)
    }

    /// Begins a session with the server at an address.
    ///
    /// # Errors
    ///
    /// When what was noted with [`add_host`](Self::add_host) is neither a name nor an IP address.
    pub fn session_at(&self, addr: SocketAddr) -> io::Result<ClientConnection> {
        match self.hosts.iter().find(|(noted, _)| *noted == addr) {
            Some((_, host)) => self.session(host),
            None => self.begin(ServerName::from(addr.ip())),
        }
    }

    fn begin(&self, name: ServerName<'static>) -> io::Result<ClientConnection> {
        ClientConnection::new(self.config.clone(), name).map_err(io::Error::other)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_with_the_name_that_an_address_was_found_by() {
        let options = TlsOptions {
            trust: Trust::Anybody,
            ..Default::default()
        };
        let mut tls = Tls::new(&options).unwrap();
        let named = SocketAddr::from(([127, 0, 0, 1], 1));
        tls.add_host(named, "chat.example");
        // A name is in the hello, for servers with several, and an IP address is not.
        let is_named = |addr| {
            let mut hello = Vec::new();
            let mut session = tls.session_at(addr).unwrap();
            session.write_tls(&mut hello).unwrap();
            let name = b"chat.example";
            hello.windows(name.len()).any(|part| part == name)
        };
        assert!(is_named(named));
        assert!(!is_named(SocketAddr::from(([127, 0, 0, 1], 2))));
        assert!(tls.session("no name").is_err());
    }
}
