//! Where a server listens.

use std::{
    fmt, io,
    net::{SocketAddr, TcpStream},
    str::FromStr,
};

/// An address in the form `IP:PORT` or `HOST:PORT`, as the user wrote it.
#[derive(Clone, Debug)]
pub(crate) struct Address(String);

impl Address {
    /// Connects to the first of the host's addresses that accepts.
    ///
    /// # Errors
    ///
    /// When the host is not known, or what the last of its addresses answered.
    pub(crate) fn connect(&self) -> io::Result<TcpStream> {
        TcpStream::connect(&self.0)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    /// Takes what has the form of an address; a host name is looked up when connecting.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        // A host name has no colon; an IPv6 address has, but stands in brackets, which `SocketAddr`
        // knows.
        let is_name = |(host, port): (&str, &str)| {
            !host.is_empty() && !host.contains(':') && port.parse::<u16>().is_ok()
        };
        if text.parse::<SocketAddr>().is_ok() || text.rsplit_once(':').is_some_and(is_name) {
            Ok(Self(text.to_owned()))
        } else {
            Err(AddressError)
        }
    }
}

/// Says that a text is not an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not of the form IP:PORT or HOST:PORT")]
pub(crate) struct AddressError;

#[cfg(test)]
mod tests {
    use super::{Address, AddressError};

    #[track_caller]
    fn check(text: &str, expected: Result<(), AddressError>) {
        assert_eq!(
            text.parse::<Address>()
                .map(|address| assert_eq!(address.to_string(), text)),
            expected,
            "{text:?}"
        );
    }

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for text in [
            "127.0.0.1:8080",
            "[::1]:8080",
            "localhost:1",
            "chat.example:65535",
        ] {
            check(text, Ok(()));
        }
        for text in [
            "",
            ":",
            "8080",
            "localhost",
            "localhost:",
            ":8080",
            "localhost:65536",
            "localhost:http",
            "::1:8080",
            "[::1]",
        ] {
            check(text, Err(AddressError));
        }
    }
}
