//! Where the server listens.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// Where the server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Ip(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// Says that a text is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an IP address and a port are needed, like 127.0.0.1:8080 or [::1]:8080, or the path of a Unix \
     socket, like unix:/run/chat/chat.sock"
)]
pub(crate) struct NoAddress;

/// Says that an address is given twice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is given twice as an address to listen on; give it once")]
pub(crate) struct AddressTwice(Address);

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

impl FromStr for Address {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Self, NoAddress> {
        match text.strip_prefix(UNIX) {
            Some("") => Err(NoAddress),
            Some(path) => Ok(Self::Unix(path.into())),
            None => text.parse().map(Self::Ip).map_err(|_| NoAddress),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

/// Fails for an address that is given twice, unless its port is one that the system chooses.
pub(crate) fn check_distinct(addresses: &[Address]) -> Result<(), AddressTwice> {
    let is_one = |address: &Address| !matches!(address, Address::Ip(ip) if ip.port() == 0);
    let twice = (1..addresses.len())
        .find(|&index| addresses[..index].contains(&addresses[index]) && is_one(&addresses[index]));
    match twice {
        Some(index) => Err(AddressTwice(addresses[index].clone())),
        None => Ok(()),
    }
}

/// What an address begins with that is the path of a Unix socket.
const UNIX: &str = "unix:";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_it_is_read() {
        for text in ["127.0.0.1:8080", "[::1]:0", "unix:/run/chat.sock", "unix:a"] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
        }
        for text in ["", "unix:", "/run/chat.sock", "8080", "localhost:8080"] {
            assert_eq!(text.parse::<Address>(), Err(NoAddress), "{text}");
        }
    }

    #[test]
    fn an_address_is_given_once() {
        let check = |texts: &[&str]| {
            let addresses: Vec<_> = texts.iter().map(|text| text.parse().unwrap()).collect();
            check_distinct(&addresses).map_err(|AddressTwice(address)| address.to_string())
        };
        check(&[]).unwrap();
        check(&["127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:1", "[::1]:1"]).unwrap();
        for twice in ["127.0.0.1:1", "unix:a"] {
            assert_eq!(check(&[twice, "unix:b", twice]), Err(twice.to_owned()));
        }
    }
}
