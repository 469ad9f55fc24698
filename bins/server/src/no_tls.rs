//! What is there of TLS in a server that is built without it: nothing.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;

use async_std::net::TcpStream;

use crate::serving::Admitted;

/// No options.
#[derive(Debug, clap::Args)]
pub(crate) struct TlsArgs {}

/// There is none.
#[derive(Clone, Debug)]
pub(crate) struct Tls(Infallible);

/// Why the server cannot speak TLS: that is never tried.
#[derive(Debug, thiserror::Error)]
#[error("this server was built without TLS")]
pub(crate) struct TlsError;

/// There is nothing to end.
#[derive(Debug)]
pub(crate) struct Ending;

impl TlsArgs {
    #[expect(clippy::unused_self, reason = "as with TLS")]
    pub(crate) fn open(&self) -> Result<Option<(Tls, Ending, SocketAddr)>, TlsError> {
        Ok(None)
    }
}

impl Tls {
    pub(crate) fn reload(&self) -> Result<(), TlsError> {
        match self.0 {}
    }

    pub(crate) fn admit(&self, _stream: TcpStream, _admitted: Admitted) {
        match self.0 {}
    }
}

/// Is never called: where there is no TLS, nobody takes an address for that.
pub(crate) fn refuse_hello(_received: &[u8]) -> io::Result<()> {
    Ok(())
}

pub(crate) fn note_tls_on_plain(_peer: SocketAddr, _error: &io::Error) {}

/// Nobody is.
pub(crate) fn refused() -> BTreeMap<&'static str, u64> {
    BTreeMap::new()
}
