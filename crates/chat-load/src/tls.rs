//! What TLS keeps for one connection.

#[cfg(test)]
mod tests;

use std::io::{self, Read, Write};
use std::net::SocketAddr;

use chat_tls::{ClientConnection, Tls, cut, explain, shake};

use crate::connection::{Brought, Client};

/// The state of TLS of one connection.
///
/// It keeps no memory for what is read: that goes through the buffers of whoever reads. What the server
/// has sent of a record whose end has not arrived is rustls' to keep.
#[derive(Debug)]
pub(crate) struct Session {
    connection: ClientConnection,
    /// What was enciphered last.
    wire: Vec<u8>,
}

impl Session {
    /// Makes one of a connection that has not begun its handshake.
    pub(crate) fn new(mut connection: ClientConnection) -> Self {
        // Nothing stays there: what is enciphered is taken at once.
        connection.set_buffer_limit(None);
        Self {
            connection,
            wire: Vec::new(),
        }
    }

    /// Goes on with the handshake, and tells whether it is done.
    pub(crate) fn shake(&mut self, stream: &mut (impl Read + Write)) -> io::Result<bool> {
        loop {
            match shake(&mut self.connection, stream) {
                Ok(true) => {}
                Ok(false) => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Enciphers what is to be sent next.
    pub(crate) fn encipher(&mut self, messages: &[u8]) -> io::Result<&[u8]> {
        self.connection.writer().write_all(messages)?;
        self.enciphered()
    }

    /// Enciphers that nothing more is sent.
    pub(crate) fn end_sending(&mut self) -> io::Result<&[u8]> {
        self.connection.send_close_notify();
        self.enciphered()
    }

    fn enciphered(&mut self) -> io::Result<&[u8]> {
        self.wire.clear();
        while self.connection.wants_write() {
            self.connection.write_tls(&mut self.wire)?;
        }
        Ok(&self.wire)
    }

    /// Reads once from the socket, `len_max` bytes or fewer, and deciphers what has arrived to
    /// `scratch`, from `start` on. A stream that ends before the server has said so is an error.
    ///
    /// The last [`CIPHER_LEN`] bytes of `scratch` are where the socket's bytes are read to, so nothing
    /// that was deciphered stays behind: what is before them has room for all that these can bring.
    pub(crate) fn read(
        &mut self,
        stream: &mut impl Read,
        (scratch, start): (&mut [u8], usize),
        len_max: usize,
    ) -> io::Result<Brought> {
        let (plain, cipher) = scratch.split_at_mut(scratch.len() - CIPHER_LEN);
        let plain = plain.get_mut(start..).unwrap_or_default();
        debug_assert!(plain.len() >= CIPHER_LEN + RECORD_LEN_MAX, "there is room");
        let cipher_len = CIPHER_LEN.min(len_max);
        let received = read_some(stream, &mut cipher[..cipher_len])?;
        let deciphered = match received {
            None => self.decipher(&[], plain)?,
            Some(0) => self.end(plain)?,
            Some(len) => self.decipher(&cipher[..len], plain)?,
        };
        let is_short = received.is_none_or(|len| len < cipher_len);
        Ok(match deciphered {
            Deciphered::End { len: 0 } => Brought::End,
            // What is left is the end, and reading again finds it.
            Deciphered::End { len } => Brought::Bytes {
                len,
                is_short: false,
            },
            Deciphered::Open { len: 0 } if received.is_none() => Brought::None,
            Deciphered::Open { len } => Brought::Bytes { len, is_short },
        })
    }

    /// Deciphers what the socket had, after what the handshake has left.
    fn decipher(&mut self, mut cipher: &[u8], plain: &mut [u8]) -> io::Result<Deciphered> {
        let mut len = 0;
        loop {
            if !cipher.is_empty() {
                self.connection.read_tls(&mut cipher)?;
            }
            let processed = self.connection.process_new_packets();
            let has_ended = self.take(plain, &mut len)?;
            match processed {
                // It is said again when this is asked the next time.
                Err(_) if len > 0 => return Ok(Deciphered::End { len }),
                Err(error) => return Err(explain(error)),
                Ok(_) if has_ended => return Ok(Deciphered::End { len }),
                Ok(_) if cipher.is_empty() => return Ok(Deciphered::Open { len }),
                Ok(_) => {}
            }
        }
    }

    /// Deciphers what is left at the end of the stream.
    fn end(&mut self, plain: &mut [u8]) -> io::Result<Deciphered> {
        let deciphered = self.decipher(&[], plain)?;
        match deciphered {
            Deciphered::Open { len: 0 } => Err(cut()),
            Deciphered::Open { len } => Ok(Deciphered::End { len }),
            end @ Deciphered::End { .. } => Ok(end),
        }
    }

    /// Takes what is deciphered, and tells whether the server has said that this is all.
    fn take(&mut self, plain: &mut [u8], len: &mut usize) -> io::Result<bool> {
        loop {
            match self.connection.reader().read(&mut plain[*len..]) {
                Ok(0) => return Ok(true),
                Ok(taken) => *len += taken,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Has a connection to `addr` be one over TLS, if that is how clients connect.
pub(crate) fn secured(client: Client, addr: SocketAddr, tls: Option<&Tls>) -> io::Result<Client> {
    match tls {
        None => Ok(client),
        Some(tls) => Ok(client.over_tls(tls.session_at(addr)?)),
    }
}

/// What was deciphered: so many bytes.
enum Deciphered {
    /// More can come.
    Open { len: usize },
    /// Nothing more comes, or the stream has failed.
    End { len: usize },
}

/// Reads once. Returns nothing if there is nothing for now, and zero at the end of the stream.
fn read_some(stream: &mut impl Read, buf: &mut [u8]) -> io::Result<Option<usize>> {
    loop {
        match stream.read(buf) {
            Ok(len) => return Ok(Some(len)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// How many bytes are read from a socket at once. A judgement: several records.
pub(crate) const CIPHER_LEN: usize = 64 << 10;

/// How many bytes one record can have, of which all but the last may have arrived before.
///
/// Source: RFC 8446, section 5.2.
const RECORD_LEN_MAX: usize = (1 << 14) + 256;
