//! Clients that leave inside a message.

use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use chat_tls::{ClientConnection, Tls, shake};
use rustix::net::sockopt::set_socket_linger;

use crate::protocol::Protocol;
use crate::wiring::Wiring;

impl<P: Protocol + Copy> Wiring<'_, P> {
    /// Has two clients come that leave inside their first message, one by the end of its stream and
    /// one by a reset. Nothing of it may reach anybody (rule 8 of the specification), so nobody has
    /// to look out for it: it would be a message that nobody sent.
    pub(crate) fn quit_inside_messages(&mut self) {
        if !self.load.cuts {
            return;
        }
        let wire = self.outbox.unfinished();
        for leave in [Leave::End, Leave::Reset] {
            if let Err(error) = quit(self.addr, self.tls, wire, leave) {
                self.conduct.no_quitter.get_or_insert(error.to_string());
            }
        }
    }
}

/// How a client leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leave {
    End,
    Reset,
}

/// Connects, sends this, and leaves.
fn quit(addr: SocketAddr, tls: Option<&Tls>, wire: &[u8], leave: Leave) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&addr, CONNECT_TIMEOUT)?;
    stream.set_nodelay(true)?;
    match tls {
        None => stream.write_all(wire)?,
        Some(tls) => write_over_tls(&mut stream, tls.session_at(addr)?, wire, leave)?,
    }
    match leave {
        Leave::End => stream.shutdown(Shutdown::Write),
        Leave::Reset => Ok(set_socket_linger(&stream, Some(Duration::ZERO))?),
    }
}

/// Does the handshake and sends this, with the end of TLS if that is how the client leaves.
fn write_over_tls(
    stream: &mut TcpStream,
    mut session: ClientConnection,
    wire: &[u8],
    leave: Leave,
) -> io::Result<()> {
    stream.set_read_timeout(Some(CONNECT_TIMEOUT))?;
    stream.set_write_timeout(Some(CONNECT_TIMEOUT))?;
    while shake(&mut session, stream)? {}
    session.writer().write_all(wire)?;
    if leave == Leave::End {
        session.send_close_notify();
    }
    while session.wants_write() {
        session.write_tls(stream)?;
    }
    Ok(())
}

/// How long to try to connect. A judgement: everybody else has just been served.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
