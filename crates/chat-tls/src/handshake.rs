//! The handshake, step by step.

use std::io::{self, Read, Write};

use rustls::ClientConnection;

use crate::failure::{explain, refused};

/// Does the next step of a handshake, which is one read or one write. Returns whether there are more.
///
/// # Errors
///
/// With what the stream said (such as that it would block, and then the step can be tried again), or
/// with why there can be no TLS. The server has been told so, if it listens.
pub fn shake(session: &mut ClientConnection, stream: &mut (impl Read + Write)) -> io::Result<bool> {
    if session.wants_write() {
        session.write_tls(stream).map_err(told)?;
    } else if session.is_handshaking() {
        if session.read_tls(stream).map_err(told)? == 0 {
            return Err(refused());
        }
        if let Err(error) = session.process_new_packets() {
            // The server is told why, if it listens.
            let _ = session.write_tls(stream);
            return Err(explain(error));
        }
    }
    Ok(session.is_handshaking() || session.wants_write())
}

/// Tells a server that does not want this client from other failures of the stream.
fn told(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => refused(),
        _ => error,
    }
}
