//! A proxy that listens.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use crate::link::Link;
use crate::toxics::Plan;

/// A proxy that listens, for programs that connect by themselves. Dropping it cuts all its
/// connections.
///
/// It forwards [`LINK_COUNT_MAX`](Proxy::LINK_COUNT_MAX) connections at a time at most, and closes
/// the others at once.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    is_over: Arc<AtomicBool>,
    is_held: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Proxy {
    /// How many connections there may be at a time. A judgement: each takes two threads.
    pub const LINK_COUNT_MAX: usize = 1024;

    /// Listens on a free port of the loopback. `plan` is asked for that of each connection; the
    /// first is number 0.
    ///
    /// # Errors
    ///
    /// When the system has no socket or thread.
    pub fn start(
        server: SocketAddr,
        mut plan: impl FnMut(u64) -> Plan + Send + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let addr = listener.local_addr()?;
        let is_over = Arc::new(AtomicBool::new(false));
        let is_over_too = Arc::clone(&is_over);
        let is_held = Arc::new(AtomicBool::new(false));
        let is_held_too = Arc::clone(&is_held);
        let accepting = thread::Builder::new().spawn(move || {
            let mut links: Vec<Link> = Vec::new();
            let mut number = 0;
            for client in listener.incoming() {
                if is_over_too.load(Ordering::Relaxed) {
                    break;
                }
                links.retain(|link| !link.is_over());
                let Ok(client) = client else { continue };
                if links.len() < Self::LINK_COUNT_MAX {
                    // A server that cannot be reached is an end for the client.
                    let is_held = Arc::clone(&is_held_too);
                    links.extend(Link::start(client, server, &plan(number), is_held));
                    number += 1;
                }
            }
        })?;
        Ok(Self {
            addr,
            is_over,
            is_held,
            accepting: Some(accepting),
        })
    }

    /// Forwards nothing more on any connection, as a network that is cut in two: nobody is told. New
    /// connections are accepted, and nothing is forwarded on them either.
    pub fn hold(&self) {
        self.is_held.store(true, Ordering::Relaxed);
    }

    /// Forwards again, and first what was held.
    pub fn release(&self) {
        self.is_held.store(false, Ordering::Relaxed);
    }

    /// Returns the address to connect to.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // It wakes the thread. If it fails, the thread has nothing to wait for either.
        let woken = TcpStream::connect(self.addr);
        if let (Ok(_), Some(accepting)) = (woken, self.accepting.take()) {
            let _ = accepting.join();
        }
    }
}
