//! What is there of TLS in a server that is built without it: nothing.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;

use crate::address::Address;
use crate::peer::Peer;
use crate::serving::Admitted;
use crate::stream::Stream;

/// No options.
#[derive(Debug, clap::Args)]
pub(crate) struct TlsArgs {}

/// There is none.
#[derive(Clone, Debug)]
pub(crate) struct Tls(Infallible);

/// Why the server cannot speak TLS.
#[derive(Debug, thiserror::Error)]
#[error("this server was built without TLS")]
pub(crate) struct TlsError;

/// There is nothing to end.
#[derive(Debug)]
pub(crate) struct Ending;

impl TlsError {
    #[expect(clippy::unused_self, reason = "as with TLS")]
    pub(crate) fn is_usage(&self) -> bool {
        false
    }
}

impl TlsArgs {
    #[expect(clippy::unused_self, reason = "as with TLS")]
    pub(crate) fn addresses(&self) -> Vec<Address> {
        Vec::new()
    }

    #[expect(clippy::unused_self, reason = "as with TLS")]
    pub(crate) fn check(&self) -> Result<(), TlsError> {
        Ok(())
    }

    /// Fails where there are places for clients that speak TLS: they may be handed over.
    #[expect(clippy::unused_self, reason = "as with TLS")]
    pub(crate) fn open<T>(&self, places: &[T]) -> Result<Option<(Tls, Ending)>, TlsError> {
        if places.is_empty() {
            Ok(None)
        } else {
            Err(TlsError)
        }
    }
}

impl Tls {
    pub(crate) fn reload(&self) -> Result<(), TlsError> {
        match self.0 {}
    }

    pub(crate) fn admit<S: Stream>(&self, _stream: S, _admitted: Admitted) {
        match self.0 {}
    }
}

/// Is never called: where there is no TLS, nobody takes an address for that.
pub(crate) fn refuse_hello(_received: &[u8]) -> io::Result<()> {
    Ok(())
}

pub(crate) fn note_tls_on_plain(_peer: Peer, _error: &io::Error) {}

/// Nobody is.
pub(crate) fn refused() -> BTreeMap<&'static str, u64> {
    BTreeMap::new()
}
