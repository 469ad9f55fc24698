//! Where a client comes from.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where a client comes from. It is kept for each client, and small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) enum Peer {
    /// A socket address without what only the system can make use of.
    Ip(IpAddr, u16),
    /// The other end of a Unix socket, which has no address; the process that connected, if it is
    /// known.
    Unix(Option<NonZeroU32>),
}

/// Says that a text names no client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a client's address is an IP address and a port, or like unix:pid=123")]
pub(crate) struct NoPeer;

impl Peer {
    /// Returns the client that has connected to a Unix socket.
    pub(crate) fn of_unix(socket: &impl std::os::fd::AsFd) -> Self {
        Self::Unix(pid(socket))
    }

    /// Returns the IP address, where there is one.
    pub(crate) fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Ip(ip, _) => Some(ip),
            Self::Unix(_) => None,
        }
    }
}

/// Returns which process has connected. One that cannot be seen from here is 0 to the system.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn pid(socket: &impl std::os::fd::AsFd) -> Option<NonZeroU32> {
    use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
    let credentials = getsockopt(socket, PeerCredentials).ok()?;
    u32::try_from(credentials.pid()).ok()?.try_into().ok()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn pid(_socket: &impl std::os::fd::AsFd) -> Option<NonZeroU32> {
    None
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address.ip(), address.port())
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Ip(ip, port) => SocketAddr::new(ip, port).fmt(f),
            Self::Unix(Some(pid)) => write!(f, "unix:pid={pid}"),
            Self::Unix(None) => f.write_str("unix"),
        }
    }
}

impl From<Peer> for String {
    fn from(peer: Peer) -> Self {
        peer.to_string()
    }
}

impl FromStr for Peer {
    type Err = NoPeer;

    fn from_str(text: &str) -> Result<Self, NoPeer> {
        if text == "unix" {
            return Ok(Self::Unix(None));
        }
        if let Some(pid) = text.strip_prefix("unix:pid=") {
            return pid.parse().map(Some).map(Self::Unix).map_err(|_| NoPeer);
        }
        let address: SocketAddr = text.parse().map_err(|_| NoPeer)?;
        Ok(address.into())
    }
}

impl TryFrom<String> for Peer {
    type Error = NoPeer;

    fn try_from(text: String) -> Result<Self, NoPeer> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_written_as_it_is_read() {
        for text in ["192.0.2.1:4000", "[2001:db8::1]:80", "unix", "unix:pid=12"] {
            let peer: Peer = text.parse().unwrap();
            assert_eq!(peer.to_string(), text);
            let json = serde_json::to_string(&peer).unwrap();
            assert_eq!(json, format!("{text:?}"));
            assert_eq!(serde_json::from_str::<Peer>(&json).unwrap(), peer);
        }
        for text in ["", "192.0.2.1", "unix:", "unix:pid=0", "unix:pid=x"] {
            assert_eq!(text.parse::<Peer>(), Err(NoPeer), "{text}");
        }
    }

    #[test]
    fn a_peer_takes_no_more_room_than_an_address() {
        assert_eq!(size_of::<Peer>(), size_of::<(IpAddr, u16)>());
    }

    #[test]
    fn the_process_at_the_other_end_is_known() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let expected = NonZeroU32::new(std::process::id());
        #[cfg(any(target_os = "linux", target_os = "android"))]
        assert_eq!(Peer::of_unix(&one), Peer::Unix(expected));
        let _ = (one, expected);
    }
}
