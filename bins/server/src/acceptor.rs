//! Accepting clients.

use std::convert::Infallible;
use std::io;
use std::time::{Duration, Instant};

use async_std::future::timeout;
use async_std::task;
use tracing::{debug, warn};

use crate::clients::Clients;
use crate::entrance::Entrance;
use crate::listener::{Accept, Listener};

/// Accepts clients, for ever.
#[derive(Debug)]
pub(crate) struct Acceptor {
    entrance: Entrance,
    /// When it was logged last that accepting fails.
    failed_at: Option<Instant>,
}

impl Acceptor {
    pub(crate) fn new(entrance: Entrance) -> Self {
        Self {
            entrance,
            failed_at: None,
        }
    }

    /// Accepts the clients of a listener. When this is dropped, nobody listens any more.
    pub(crate) async fn run(self, listener: Listener) -> Infallible {
        match listener {
            Listener::Tcp(listener) => self.accept_all(listener).await,
            Listener::HandedOver(listener) => self.accept_all(listener).await,
            Listener::Unix(listener, _file) => self.accept_all(listener).await,
        }
    }

    async fn accept_all(mut self, listener: impl Accept) -> Infallible {
        loop {
            for _ in 0..self.burst_len() {
                match listener.accept().await {
                    Ok((stream, peer)) => self.entrance.take(stream, peer),
                    Err(error) if is_of_one_client(&error) => {
                        debug!("a client left before it was accepted: {error}");
                    }
                    Err(error) => self.pause(&error).await,
                }
            }
            // Clients that come in a burst are not to keep those from their turns that are here.
            task::yield_now().await;
        }
    }

    fn clients(&self) -> &Clients {
        self.entrance.admission.clients()
    }

    /// Returns how many clients are accepted before others have their turn. The more there are, the
    /// longer their turns take together, so this is a small part of the time.
    fn burst_len(&self) -> usize {
        BURST_LEN_MIN.max(self.clients().count() / CLIENTS_PER_ACCEPT)
    }

    /// Waits, since the system is short of something that only others can give back. Trying at once
    /// would be spinning.
    async fn pause(&mut self, error: &io::Error) {
        let is_logged = self
            .failed_at
            .is_some_and(|at| at.elapsed() < FAILURES_LOG_PERIOD);
        if !is_logged {
            warn!("cannot accept clients: {error}; trying again");
            self.failed_at = Some(Instant::now());
        }
        let _ = timeout(ACCEPT_PAUSE, self.clients().left()).await;
    }
}

/// Tells whether an error in accepting concerns the client that was to be accepted, and not the
/// next.
fn is_of_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted
    )
}

/// How long to wait before accepting again when the system cannot, unless a client leaves. A
/// judgement.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long nothing more is logged of a system that goes on failing.
const FAILURES_LOG_PERIOD: Duration = Duration::from_secs(10);

/// How many clients are accepted at least before others have their turn. Measured: one takes 6 to 9
/// microseconds, its own first turn included.
const BURST_LEN_MIN: usize = 16;

/// For how many connected clients one more is accepted before others have their turn. Measured: with
/// 16 at a time alone, five thousand that connect at once take ten times as long; with 512 at a
/// time, those that are here wait while a few hundred come and go.
const CLIENTS_PER_ACCEPT: usize = 8;

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream as StdTcpStream};
    use std::pin::pin;
    use std::task::{Context, Waker};

    use chat_hub::Hub;

    use crate::address::Address;
    use crate::admission::{Admission, ClientLimits};
    use crate::args::Draining;
    use crate::entrance::Kind;
    use crate::settings::{Live, Settings};
    use crate::throttle::{Ingress, Rates};

    use super::*;

    const LOCALHOST: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));

    fn acceptor() -> Acceptor {
        Acceptor::new(Entrance {
            hub: Hub::default(),
            admission: Admission::default(),
            settings: Live::new(Settings {
                limits: ClientLimits {
                    count_max: usize::MAX,
                    per_network_max: 0,
                    rate_per_network_max: 0,
                },
                draining: Draining {
                    stall_timeout: None,
                    rate_min: 0,
                    half_closed_timeout: None,
                },
                rates: Rates::default(),
                message_timeout: None,
                drain_timeout: Duration::ZERO,
            }),
            ingress: Ingress::default(),
            proxies: Default::default(),
            cluster: None,
            kind: Kind::Plain,
        })
    }

    #[test]
    fn clients_that_come_in_a_burst_leave_others_their_turn() {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into();
        let listener = Listener::open(&address, None).unwrap();
        let Address::Ip(address) = listener.address().unwrap() else {
            panic!("it is an IP address");
        };
        let connecting = (0..3 * BURST_LEN_MIN).map(|_| StdTcpStream::connect(address).unwrap());
        let _clients: Vec<_> = connecting.collect();
        let acceptor = acceptor();
        let clients = acceptor.clients().clone();
        let mut accepting = pin!(acceptor.run(listener));
        let cx = &mut Context::from_waker(Waker::noop());
        for turn in 1..=3 {
            assert!(accepting.as_mut().poll(cx).is_pending());
            assert_eq!(clients.count(), turn * BURST_LEN_MIN);
        }
    }

    #[test]
    fn more_are_accepted_at_once_where_there_are_many() {
        let acceptor = acceptor();
        let entries: Vec<_> = (0..1000)
            .map(|_| acceptor.clients().add(LOCALHOST))
            .collect();
        assert_eq!(acceptor.burst_len(), 1000 / CLIENTS_PER_ACCEPT);
        drop(entries);
        assert_eq!(acceptor.burst_len(), BURST_LEN_MIN);
    }

    #[test]
    fn a_client_that_leaves_ends_the_pause() {
        let mut acceptor = acceptor();
        let clients = acceptor.clients().clone();
        let entry = clients.add(LOCALHOST);
        let error = io::Error::from_raw_os_error(24);
        let mut pause = pin!(acceptor.pause(&error));
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(pause.as_mut().poll(cx).is_pending());
        drop(entry);
        assert!(pause.as_mut().poll(cx).is_ready());
    }
}
