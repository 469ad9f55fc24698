//! Ports that servers keep when they are restarted, and proxies to them.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use chat_toxic::{Plan, Proxy};

use crate::ClusterError;

/// Addresses that are kept as long as this lives, also while no server listens at them.
///
/// They are below those that the system gives to connections. Others who look for addresses here find
/// them taken by their UDP sockets, which nobody else has a use for.
#[derive(Debug)]
pub(crate) struct KeptAddrs {
    _sockets: Vec<UdpSocket>,
}

impl KeptAddrs {
    /// Finds addresses at which nobody listens, and returns them as well.
    pub(crate) fn find(count: usize) -> Result<(Self, Vec<SocketAddr>), ClusterError> {
        let (mut sockets, mut addrs) = (Vec::new(), Vec::new());
        for _ in 0..TRIES_MAX {
            if addrs.len() == count {
                return Ok((Self { _sockets: sockets }, addrs));
            }
            let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, fastrand::u16(PORTS)));
            // In this order: whoever has the first is the only one who tries the second.
            if let Ok(socket) = UdpSocket::bind(addr)
                && TcpListener::bind(addr).is_ok()
            {
                sockets.push(socket);
                addrs.push(addr);
            }
        }
        let source = std::io::ErrorKind::AddrInUse.into();
        Err(ClusterError::io("finding free ports")(source))
    }
}

/// Starts a proxy to a server, which does nothing to connections until it is told to.
pub(crate) fn start_proxy(addr: SocketAddr) -> Result<Proxy, ClusterError> {
    let proxy = Proxy::start(addr, |_| Plan::default());
    proxy.map_err(ClusterError::io("starting a proxy"))
}

/// Source: ip_local_port_range of Linux begins at 32768.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// How many ports are tried. A judgement: most are free.
const TRIES_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_addresses_are_found_by_nobody_else() {
        let (_one, addrs) = KeptAddrs::find(50).unwrap();
        for addr in &addrs {
            assert!(UdpSocket::bind(addr).is_err());
            // A server may be there, or not.
            assert!(TcpListener::bind(addr).is_ok());
        }
        let (_other, others) = KeptAddrs::find(400).unwrap();
        assert!(others.iter().all(|addr| !addrs.contains(addr)));
    }
}
