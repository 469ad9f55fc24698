//! Where a server listens.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::str::FromStr;
use std::time::{Duration, Instant};

/// A host and a port: `IP:PORT` or `NAME:PORT`; an IPv6 address is in brackets.
///
/// # Examples
///
/// ```
/// use chat_client::Address;
///
/// let address: Address = "[::1]:8080".parse()?;
/// assert_eq!(address.to_string(), "[::1]:8080");
/// let error = "::1:8080".parse::<Address>().unwrap_err();
/// assert_eq!(error.to_string(), "an IPv6 address is in brackets: [::1]:8080");
/// # Ok::<(), chat_client::AddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: u16,
}

/// Says that a text is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// The text has another form.
    #[error("an address is IP:PORT or NAME:PORT, like 127.0.0.1:8080")]
    Form,
    /// The port is not a number from 0 to 65535.
    #[error("`{0}` is no port; ports are numbers up to 65535")]
    Port(String),
    /// It is an IPv6 address, and where its port begins is a guess.
    #[error("an IPv6 address is in brackets: {0}")]
    Brackets(String),
}

/// Says that no address of a host could be connected to.
#[derive(Debug, thiserror::Error)]
#[error("cannot connect to {address}: {source}{}", of_several(tried))]
pub struct ConnectError {
    address: Address,
    tried: Vec<SocketAddr>,
    source: io::Error,
}

/// Lists the addresses of a host that has several.
fn of_several(tried: &[SocketAddr]) -> String {
    match tried {
        [] | [_] => String::new(),
        several => {
            let list: Vec<_> = several.iter().map(SocketAddr::to_string).collect();
            format!(" (tried {})", list.join(" and "))
        }
    }
}

impl Address {
    /// Connects to the first of the host's addresses that answers within `timeout`, which is for
    /// all of them. Looking up the name takes as long as the system lets it.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] when the name is unknown, or with the failure of the last address that was
    /// tried.
    pub fn connect(&self, timeout: Duration) -> Result<TcpStream, ConnectError> {
        let start = Instant::now();
        let mut tried = Vec::new();
        let mut failure = io::Error::from(io::ErrorKind::TimedOut);
        let found = (self.host.as_str(), self.port).to_socket_addrs();
        let found = found.map_err(|source| self.error(Vec::new(), source))?;
        for address in found {
            let left = timeout.saturating_sub(start.elapsed());
            if left.is_zero() {
                break;
            }
            tried.push(address);
            match TcpStream::connect_timeout(&address, left) {
                Ok(stream) => {
                    // A lone message is not to wait for the acknowledgement of the one before. Where
                    // this fails, the connection is gone already, which reading finds.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Err(error) => failure = error,
            }
        }
        Err(self.error(tried, failure))
    }

    #[cfg(feature = "tls")]
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn error(&self, tried: Vec<SocketAddr>, source: io::Error) -> ConnectError {
        ConnectError {
            address: self.clone(),
            tried,
            source,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(f, "[{host}]:{port}")
        } else {
            write!(f, "{host}:{port}")
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    /// Reads the form of an address; a name is looked up when connecting.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (host, port) = text.rsplit_once(':').ok_or(AddressError::Form)?;
        if text.parse::<Ipv6Addr>().is_ok() {
            return Err(AddressError::Brackets(format!("[{host}]:{port}")));
        }
        let host = match host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
        {
            Some(host) => host.parse::<Ipv6Addr>().is_ok().then_some(host),
            None => (!host.is_empty() && !host.contains([':', '[', ']'])).then_some(host),
        };
        let host = host.ok_or(AddressError::Form)?.to_owned();
        let port = port
            .parse()
            .map_err(|_| AddressError::Port(port.to_owned()))?;
        Ok(Self { host, port })
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        let host: IpAddr = address.ip();
        Self {
            host: host.to_string(),
            port: address.port(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for text in [
            "127.0.0.1:8080",
            "[::1]:8080",
            "localhost:1",
            "chat.example:65535",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        for text in [
            "",
            ":",
            "8080",
            "localhost",
            ":8080",
            "[::1]",
            "[::1",
            "[x]:1",
            "a]:1",
        ] {
            assert_eq!(text.parse::<Address>(), Err(AddressError::Form), "{text}");
        }
        for (text, port) in [
            ("localhost:", ""),
            ("localhost:65536", "65536"),
            ("[::1]:http", "http"),
        ] {
            assert_eq!(
                text.parse::<Address>(),
                Err(AddressError::Port(port.to_owned()))
            );
        }
        for (text, meant) in [
            ("::1:8080", "[::1]:8080"),
            ("fe80::1:2:80", "[fe80::1:2]:80"),
        ] {
            assert_eq!(
                text.parse::<Address>(),
                Err(AddressError::Brackets(meant.to_owned()))
            );
        }
    }
}
