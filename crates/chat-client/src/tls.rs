//! Connecting over TLS.

mod session;

use std::time::{Duration, Instant};

use chat_tls::Tls;

use crate::{Address, ConnectError, Stream};

pub(crate) use self::session::TlsSession;

impl Address {
    /// Connects to the first of the host's addresses that answers, and does the handshake of TLS,
    /// within `timeout`.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] when no address answers, or with why there is no TLS. A server that refuses
    /// the client's certificate says so later: reading fails then.
    pub fn connect_over(&self, tls: &Tls, timeout: Duration) -> Result<Stream, ConnectError> {
        let start = Instant::now();
        let socket = self.connect(timeout)?;
        let deadline = start + timeout;
        let session = tls.session(self.host()).and_then(|mut connection| {
            session::shake(&socket, &mut connection, deadline)?;
            Ok(TlsSession::new(connection))
        });
        session
            .map(|session| Stream::over_tls(socket, session))
            .map_err(|source| self.error(Vec::new(), source))
    }
}
