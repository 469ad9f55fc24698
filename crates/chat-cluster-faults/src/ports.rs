//! Ports that servers keep when they are restarted, and proxies to them.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use chat_toxic::{Plan, Proxy};

use crate::ClusterError;

/// Finds addresses at which nobody listens.
///
/// They are below those that the system gives to connections, so that nobody takes one while its server
/// is down.
pub(crate) fn free_addrs(count: usize) -> Result<Vec<SocketAddr>, ClusterError> {
    let mut held = Vec::new();
    for _ in 0..TRIES_MAX {
        if held.len() == count {
            break;
        }
        let port = fastrand::u16(PORTS);
        held.extend(TcpListener::bind((Ipv4Addr::LOCALHOST, port)));
    }
    let addrs: Result<Vec<SocketAddr>, _> = held.iter().map(TcpListener::local_addr).collect();
    addrs
        .and_then(|addrs| match addrs.len() == count {
            true => Ok(addrs),
            false => Err(std::io::ErrorKind::AddrInUse.into()),
        })
        .map_err(ClusterError::io("finding free ports"))
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
