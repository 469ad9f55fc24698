//! Sockets that a service manager hands over (systemd's socket activation).
//!
//! The manager holds them before the server starts and after it ends, so that clients that connect in
//! between wait, and none is refused. Source: sd_listen_fds(3) of systemd.

use std::env;
use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use listenfd::ListenFd;
use socket2::SockRef;

use crate::listener::Listener;

/// The sockets that were handed over.
#[derive(Debug, Default)]
pub(crate) struct HandedOver {
    plain: Vec<Handed>,
    tls: Vec<Handed>,
}

#[derive(Debug)]
struct Handed {
    /// The number of its descriptor.
    number: usize,
    bound: Bound,
}

#[derive(Debug)]
enum Bound {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Why a socket that was handed over is no good.
#[derive(Debug, thiserror::Error)]
#[error("cannot serve descriptor {number}, which was handed over: {source}")]
pub(crate) struct HandOverError {
    number: usize,
    source: io::Error,
}

impl HandedOver {
    /// Takes the sockets from the environment, once, and before there are other threads.
    pub(crate) fn take() -> Result<Self, HandOverError> {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut sockets = ListenFd::from_env();
        let mut handed = Self::default();
        for index in 0..sockets.len() {
            let name = names.next().unwrap_or_default();
            let number = FIRST_NUMBER + index;
            let bound = take(&mut sockets, index);
            let bound = bound.map_err(|source| HandOverError { number, source })?;
            let list = match name {
                TLS => &mut handed.tls,
                _ => &mut handed.plain,
            };
            list.push(Handed { number, bound });
        }
        Ok(handed)
    }

    /// Tells whether there were none.
    pub(crate) fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.tls.is_empty()
    }

    /// Returns the listeners for plain clients, and those for TLS, with their options.
    pub(crate) fn listeners(
        self,
        stall_timeout: Option<Duration>,
    ) -> Result<(Vec<Listener>, Vec<Listener>), HandOverError> {
        let adopt = |handed: Handed| {
            let listener = match handed.bound {
                Bound::Tcp(listener) => Listener::adopt_tcp(listener, stall_timeout),
                Bound::Unix(listener) => Listener::adopt_unix(listener),
            };
            listener.map_err(|source| HandOverError {
                number: handed.number,
                source,
            })
        };
        let adopt_all = |list: Vec<_>| list.into_iter().map(adopt).collect();
        let plain: Result<_, _> = adopt_all(self.plain);
        Ok((plain?, adopt_all(self.tls)?))
    }
}

fn take(sockets: &mut ListenFd, index: usize) -> io::Result<Bound> {
    let bound = match sockets.take_tcp_listener(index) {
        Ok(listener) => listener.map(Bound::Tcp),
        Err(_) => sockets
            .take_unix_listener(index)
            .map_err(|_| unfit())?
            .map(Bound::Unix),
    };
    let bound = bound.ok_or_else(unfit)?;
    let is_listening = match &bound {
        Bound::Tcp(listener) => SockRef::from(listener).is_listener()?,
        Bound::Unix(listener) => SockRef::from(listener).is_listener()?,
    };
    if is_listening {
        Ok(bound)
    } else {
        Err(unfit())
    }
}

fn unfit() -> io::Error {
    let why = "it is no TCP or Unix stream socket that listens; with systemd, it takes ListenStream= \
               and Accept=no";
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

/// The name of a socket for clients that speak TLS.
const TLS: &str = "tls";

/// The number of the first descriptor that is handed over.
const FIRST_NUMBER: usize = 3;
