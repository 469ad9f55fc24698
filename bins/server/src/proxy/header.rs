//! The header that a proxy begins a connection with, as it arrives.
//!
//! This module has no I/O: it says how many bytes may be read without reading beyond the header, and
//! takes them. So what comes after the header is still where it was.

use std::net::SocketAddr;

use ppp::{v1, v2};

/// A header of which a part has arrived.
///
/// | version | bytes |
/// |---|---|
/// | 1 | `PROXY `, words about both ends, CR LF: at most 107 |
/// | 2 | 12 fixed ones; version and command; family; length, big-endian: u16; so many bytes |
#[derive(Debug, Default)]
pub(crate) struct Header {
    /// What has arrived, and the room for the next bytes.
    buf: Vec<u8>,
    len: usize,
}

/// Whom a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Nobody but the proxy, or it does not know.
    Proxy,
    Ip(SocketAddr),
    /// Somebody who is connected to the proxy by a Unix socket.
    Unix,
}

/// Why a header is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeaderError {
    #[error("it does not begin with a PROXY header")]
    Other,
    #[error("its PROXY header has more than {HEADER_LEN_MAX} bytes")]
    TooLong,
    #[error("its PROXY header is damaged")]
    Damaged,
}

impl Header {
    /// Returns the place for the next bytes, at least one: so many belong to the header, whatever
    /// they are, if it is one at all.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        // The end of version 1 is known only when it has come, so that is taken byte by byte.
        let len = len_min(&self.buf[..self.len]).max(self.len + 1);
        self.buf.resize(len, 0);
        &mut self.buf[self.len..]
    }

    /// Takes bytes that were put into the room, from its beginning. Returns whom the connection is for
    /// when the header is complete.
    ///
    /// # Errors
    ///
    /// Fails as soon as it is certain that this becomes no header.
    ///
    /// # Panics
    ///
    /// Panics if there was no room for so many.
    pub(crate) fn advance(&mut self, len: usize) -> Result<Option<Source>, HeaderError> {
        self.len += len;
        let arrived = &self.buf[..self.len];
        if begins_like(arrived, v2::PROTOCOL_PREFIX) {
            check_v2(arrived)?;
            let is_whole = arrived.len() >= V2_HEAD_LEN && arrived.len() == len_min(arrived);
            is_whole.then(|| source_v2(arrived)).transpose()
        } else if begins_like(arrived, V1_PREFIX) {
            let is_ended = match arrived {
                [line @ .., last] => {
                    *last == b'\n' || line.iter().any(|byte| b"\r\n".contains(byte))
                }
                [] => false,
            };
            let is_whole = is_ended || arrived.len() == V1_LEN_MAX;
            is_whole.then(|| source_v1(arrived)).transpose()
        } else {
            Err(HeaderError::Other)
        }
    }
}

/// Returns how many bytes a header has at least that begins so.
fn len_min(arrived: &[u8]) -> usize {
    match arrived {
        [] | [b'P', ..] => V1_LEN_MIN,
        [_, ..] => V2_HEAD_LEN + v2_rest_len(arrived).unwrap_or_default(),
    }
}

/// Returns how many bytes follow the head of version 2, if that has arrived.
fn v2_rest_len(arrived: &[u8]) -> Option<usize> {
    let len = arrived.get(V2_HEAD_LEN - 2..V2_HEAD_LEN)?;
    Some(u16::from_be_bytes([len[0], len[1]]).into())
}

/// Tells whether bytes that have arrived begin like a prefix, as far as both go.
fn begins_like(arrived: &[u8], prefix: &[u8]) -> bool {
    arrived.iter().zip(prefix).all(|(one, other)| one == other)
}

/// Checks what of the head of version 2 can be checked.
fn check_v2(arrived: &[u8]) -> Result<(), HeaderError> {
    match arrived.get(V2_COMMAND_POS) {
        Some(&(LOCAL | PROXY)) | None => {}
        Some(_) => return Err(HeaderError::Damaged),
    }
    match v2_rest_len(arrived) {
        Some(len) if V2_HEAD_LEN + len > HEADER_LEN_MAX => Err(HeaderError::TooLong),
        _ => Ok(()),
    }
}

fn source_v2(header: &[u8]) -> Result<Source, HeaderError> {
    if header[V2_COMMAND_POS] == LOCAL {
        // Whatever else it says has no meaning.
        return Ok(Source::Proxy);
    }
    let header = v2::Header::try_from(header).map_err(|_| HeaderError::Damaged)?;
    Ok(match header.addresses {
        v2::Addresses::Unspecified => Source::Proxy,
        v2::Addresses::IPv4(ends) => Source::Ip((ends.source_address, ends.source_port).into()),
        v2::Addresses::IPv6(ends) => Source::Ip((ends.source_address, ends.source_port).into()),
        v2::Addresses::Unix(_) => Source::Unix,
    })
}

fn source_v1(header: &[u8]) -> Result<Source, HeaderError> {
    // The library takes a space for the CR before the LF.
    if !header.ends_with(b"\r\n") {
        return Err(HeaderError::Damaged);
    }
    let header = v1::Header::try_from(header).map_err(|_| HeaderError::Damaged)?;
    Ok(match header.addresses {
        v1::Addresses::Unknown => Source::Proxy,
        v1::Addresses::Tcp4(ends) => Source::Ip((ends.source_address, ends.source_port).into()),
        v1::Addresses::Tcp6(ends) => Source::Ip((ends.source_address, ends.source_port).into()),
    })
}

/// How long a header may be, in bytes. A judgement: addresses take 232 at most, and what a proxy may
/// tell beside, such as the name in a client's certificate, is to fit in a segment.
pub(crate) const HEADER_LEN_MAX: usize = 2048;

/// What version 1 begins with. Source: the specification, section 2.1.
const V1_PREFIX: &[u8] = b"PROXY ";

/// Length in bytes of the shortest header of version 1, `PROXY UNKNOWN`, and of the longest one.
const V1_LEN_MIN: usize = 15;
const V1_LEN_MAX: usize = 107;

/// Length in bytes of what every header of version 2 has. Source: section 2.2.
const V2_HEAD_LEN: usize = 16;

/// Where version 2 has its version and its command.
const V2_COMMAND_POS: usize = 12;

/// Says that a proxy has connected for itself, to see whether the server is there.
const LOCAL: u8 = 0x20;

/// Says that a proxy has connected for somebody.
const PROXY: u8 = 0x21;
