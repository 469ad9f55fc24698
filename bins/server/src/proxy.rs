//! Proxies, which say for whom they connect.
//!
//! A proxy is believed, so only those are asked that are on a list. It says it in the first bytes of a
//! connection, before TLS and before the first message. Source: The PROXY protocol, versions 1 and 2,
//! of HAProxy (`doc/proxy-protocol.txt`).

#[cfg(any(test, fuzzing))]
mod check;
mod header;

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use async_std::future::timeout;
use futures::io::AsyncReadExt;
use ipnet::IpNet;

#[cfg(any(test, fuzzing))]
pub use self::check::check_input as check_header;
use crate::args::parse_timeout;
use crate::peer::Peer;
use crate::proxy::header::{Header, HeaderError, Source};
use crate::stream::Stream;

/// The options for proxies.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Proxies")]
pub(crate) struct ProxyArgs {
    /// Networks of proxies, like 192.0.2.7,2001:db8::/64, and unix for those that connect to a Unix
    /// socket: each connection from there begins with a header of the PROXY protocol, version 2 or 1,
    /// and counts as its client's. Whoever connects from there is believed
    #[arg(long, value_name = "NETWORK", value_delimiter = ',', value_parser = parse_place)]
    proxy_from: Vec<Place>,

    /// How long a proxy may take for that header
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = parse_timeout)]
    proxy_timeout: Duration,
}

/// Where proxies connect from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Network(IpNet),
    Unix,
}

/// The proxies that are believed.
#[derive(Debug, Default)]
pub(crate) struct Proxies {
    places: Vec<Place>,
    timeout: Duration,
}

/// Why it is not known whom a connection of a proxy is for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoSource {
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error("it did not finish its PROXY header within {0:?}")]
    Late(Duration),
    #[error("it left before it had sent its PROXY header")]
    Left,
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl ProxyArgs {
    /// Returns the proxies that are believed.
    pub(crate) fn proxies(&self) -> Proxies {
        Proxies {
            places: self.proxy_from.clone(),
            timeout: self.proxy_timeout,
        }
    }
}

impl Proxies {
    /// Tells whether who connects from there is a proxy.
    pub(crate) fn are_at(&self, peer: Peer) -> bool {
        self.places.iter().any(|place| match (place, peer) {
            (Place::Network(network), Peer::Ip(ip, _)) => network.contains(&ip.to_canonical()),
            (Place::Unix, Peer::Unix(_)) => true,
            _ => false,
        })
    }

    /// Reads a proxy's header, and nothing after it. Returns whom the connection is for, which may be
    /// the proxy itself.
    pub(crate) async fn source(
        &self,
        stream: &mut impl Stream,
        proxy: Peer,
    ) -> Result<Peer, NoSource> {
        let reading = timeout(self.timeout, read(stream));
        let source = reading.await.map_err(|_| NoSource::Late(self.timeout))?;
        Ok(match source? {
            Source::Proxy => proxy,
            Source::Ip(address) => address.into(),
            Source::Unix => Peer::Unix(None),
        })
    }
}

async fn read(stream: &mut impl Stream) -> Result<Source, NoSource> {
    let mut header = Header::default();
    loop {
        let len = stream.read(header.room()).await?;
        if len == 0 {
            return Err(NoSource::Left);
        }
        if let Some(source) = header.advance(len)? {
            return Ok(source);
        }
    }
}

fn parse_place(text: &str) -> Result<Place, &'static str> {
    if text == "unix" {
        return Ok(Place::Unix);
    }
    let network = text.parse::<IpAddr>().map(IpNet::from);
    network
        .or_else(|_| text.parse())
        .map(Place::Network)
        .map_err(
            |_| "a network is needed, like 192.0.2.0/24 or 2001:db8::/64, an IP address, or unix",
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_where_the_list_says() {
        let list = ["192.0.2.7", "198.51.100.0/24", "2001:db8::/64", "unix"];
        let proxies = Proxies {
            places: list.map(|text| parse_place(text).unwrap()).to_vec(),
            ..Proxies::default()
        };
        let are_at = |text: &str| proxies.are_at(text.parse().unwrap());
        for text in [
            "192.0.2.7:1",
            "[::ffff:192.0.2.7]:1",
            "198.51.100.255:1",
            "[2001:db8::ffff]:1",
            "unix",
            "unix:pid=7",
        ] {
            assert!(are_at(text), "{text}");
        }
        for text in ["192.0.2.8:1", "198.51.101.0:1", "[2001:db8:0:1::]:1"] {
            assert!(!are_at(text), "{text}");
        }
        assert!(!Proxies::default().are_at(Peer::Unix(None)));
        for text in ["", "192.0.2.0/33", "localhost", "unix:/run"] {
            parse_place(text).unwrap_err();
        }
    }
}
