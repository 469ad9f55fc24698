//! The options of a command line.

use std::path::PathBuf;

use clap::Args;

use crate::{Tls, TlsError, TlsOptions, Trust};

/// The options `--tls`, `--tls-ca`, `--tls-cert`, `--tls-key` and `--tls-insecure`, the same in all
/// clients.
#[derive(Args, Clone, Debug)]
pub struct TlsArgs {
    /// Connect over TLS; the server needs a certificate for the name or the IP address given
    #[arg(long)]
    tls: bool,

    /// The certificates of the CAs whose servers are accepted, in PEM [default: those of the system]
    #[arg(long, value_name = "FILE", requires = "tls")]
    tls_ca: Option<PathBuf>,

    /// Your own certificate, in PEM, for servers that demand one
    #[arg(long, value_name = "FILE", requires_all = ["tls", "tls_key"])]
    tls_cert: Option<PathBuf>,

    /// The key of your certificate, in PEM
    #[arg(long, value_name = "FILE", requires_all = ["tls", "tls_cert"])]
    tls_key: Option<PathBuf>,

    /// Accept any server: whoever is on the way can then read and change all messages
    #[arg(long, requires = "tls", conflicts_with = "tls_ca")]
    tls_insecure: bool,
}

impl TlsArgs {
    /// Tells whether TLS is asked for.
    pub fn is_asked_for(&self) -> bool {
        self.tls
    }

    /// Returns how to connect over TLS, if that is asked for.
    ///
    /// # Errors
    ///
    /// [`TlsError`] when a file is missing or no good.
    pub fn read(&self) -> Result<Option<Tls>, TlsError> {
        if !self.tls {
            return Ok(None);
        }
        let options = TlsOptions {
            ca: self.tls_ca.clone(),
            identity: self.tls_cert.clone().zip(self.tls_key.clone()),
            trust: if self.tls_insecure {
                Trust::Anybody
            } else {
                Trust::Checked
            },
        };
        Tls::new(&options).map(Some)
    }

    /// Returns what to warn of, a sentence without its end.
    pub fn warning(&self) -> Option<&'static str> {
        self.tls_insecure.then_some(
            "any server is accepted: whoever is on the way can read and change all messages",
        )
    }
}
