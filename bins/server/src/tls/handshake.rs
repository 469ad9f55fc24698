//! A client's way from its connection to its session.

use std::io;
use std::time::Duration;

use async_std::future::timeout;
use futures::future::{Either, select};
use futures::io::AsyncReadExt;
use futures::{AsyncWriteExt, pin_mut};
use futures_rustls::TlsAcceptor;
use futures_rustls::server::TlsStream;

use crate::patience::Taking;
use crate::peer::Peer;
use crate::runtime;
use crate::serving::{Admitted, Connection, Serving};
use crate::socket::Socket;
use crate::stream::Stream;
use crate::tls::Tls;
use crate::tls::refusals::Refusal;

/// A client's stream over TLS.
pub(crate) type TlsSocket<S> = TlsStream<Socket<S>>;

impl<S: Stream> Connection for TlsSocket<S> {
    fn taking(&self) -> Taking {
        self.get_ref().0.taking()
    }

    fn reset_on_drop(&self) {
        self.get_ref().0.reset_on_drop();
    }
}

impl Tls {
    /// Begins a client's handshake, and serves the client when that has succeeded. When the server
    /// ends, handshakes do too.
    pub(crate) fn admit<S: Stream>(&self, stream: S, admitted: Admitted) {
        let tls = self.clone();
        let ending = self.ending.clone();
        let admitting = async move {
            let shaking = tls.shake(stream, admitted.peer);
            pin_mut!(shaking);
            if let Either::Left((Some(stream), _)) = select(shaking, ending).await {
                // A task of its own: what the handshake needed is free from now on.
                runtime::spawn(Serving::new(stream, admitted)).detach();
            }
        };
        runtime::spawn(admitting).detach();
    }

    /// Does a client's handshake. Where it fails, the client is told why, and the log.
    async fn shake<S: Stream>(&self, stream: S, peer: Peer) -> Option<TlsSocket<S>> {
        let time_max = self.shared.timeout;
        let shaken = timeout(time_max, self.try_shake(stream)).await;
        let (refusal, socket) = match shaken {
            Ok(Ok(stream)) => return Some(stream),
            Ok(Err((error, socket))) => (error, Some(socket)),
            Err(_) => (Refusal::Late(time_max), None),
        };
        refusal.note(peer);
        if let Some(socket) = socket {
            let _ = timeout(FAREWELL_TIMEOUT, part(socket)).await;
        }
        None
    }

    async fn try_shake<S: Stream>(&self, stream: S) -> Result<TlsSocket<S>, (Refusal, Socket<S>)> {
        // A client that says nothing has no handshake, and keeps nobody from a turn.
        let mut first = [0];
        let begun = stream.peek(&mut first).await;
        let socket = Socket::new(stream);
        match begun {
            Ok(0) => return Err((Refusal::Left, socket)),
            Ok(_) if first[0] != HANDSHAKE_RECORD => return Err((Refusal::Plain, socket)),
            Ok(_) => {}
            Err(error) => return Err((Refusal::Io(error), socket)),
        }
        let _turn = self.shared.turns.acquire().await;
        let accepting = TlsAcceptor::from(self.config()).accept(socket);
        let shaken = accepting.into_fallible().await;
        shaken.map_err(|(error, socket)| (Refusal::of(error), socket))
    }
}

/// Ends a connection so that the client gets what was sent to it last: a socket that is closed
/// while there is something to read makes the system throw that away.
async fn part(mut socket: Socket<impl Stream>) -> io::Result<()> {
    socket.close().await?;
    let mut buf = [0; 512];
    while socket.read(&mut buf).await? > 0 {}
    Ok(())
}

/// The type of the record that each client of TLS begins with. Source: RFC 8446, section 5.1.
const HANDSHAKE_RECORD: u8 = 22;

/// How long a client that is refused may take to get the reason. A judgement.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(2);
