//! Who is let in.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::{debug, warn};

use crate::clients::{Clients, Entry};
use crate::peer::Peer;
use crate::proxy::NoSource;

/// How many clients there may be. A limit of 0 is none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientLimits {
    pub(crate) count_max: usize,
    /// How many of them may be of one network.
    pub(crate) per_network_max: u32,
    /// How many of one network may connect in a second.
    pub(crate) rate_per_network_max: u32,
}

/// Why a client was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Full,
    FullForNetwork,
    TooFast,
    /// A proxy did not say, or not in time, for whom it has connected.
    NoHeader,
    TooManyHeaders,
}

/// Lets clients in, as long as there are not too many. It is shared by its clones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Admission {
    clients: Clients,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// How many clients were refused, by reason.
    refused: [AtomicU64; Refusal::ALL.len()],
    /// How many connections of proxies there are that have yet to say whom they are for.
    header_count: AtomicUsize,
    state: Mutex<State>,
}

/// The place of a connection that has yet to say whom it is for.
#[derive(Debug)]
pub(crate) struct Place(Arc<Shared>);

#[derive(Debug, Default)]
struct State {
    /// Whether there were too many clients. It is logged when it begins, not with every client.
    is_full: bool,
    /// When it was logged last that clients are refused, by reason.
    told_at: [Option<Instant>; Refusal::ALL.len()],
    /// The second that is counted, and how many clients of each network connected in it.
    second: Option<Instant>,
    connected: HashMap<IpAddr, u32>,
}

impl Refusal {
    pub(crate) const ALL: [Self; 5] = [
        Self::Full,
        Self::FullForNetwork,
        Self::TooFast,
        Self::NoHeader,
        Self::TooManyHeaders,
    ];

    /// Returns the reason as figures are labelled with it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::FullForNetwork => "full_for_address",
            Self::TooFast => "too_fast",
            Self::NoHeader => "no_proxy_header",
            Self::TooManyHeaders => "proxy_headers_pending",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "as many clients are connected as there may be",
            Self::FullForNetwork => "its address has as many clients as one may have",
            Self::TooFast => "clients of its address connect too fast",
            Self::NoHeader => "its proxy does not say whom it is for",
            Self::TooManyHeaders => {
                "too many connections of proxies have yet to say whom they are for"
            }
        })
    }
}

impl Admission {
    /// Returns the clients that are connected.
    pub(crate) fn clients(&self) -> &Clients {
        &self.clients
    }

    /// Returns how many clients were refused for a reason.
    pub(crate) fn refused(&self, refusal: Refusal) -> u64 {
        self.shared.refused[refusal as usize].load(Ordering::Relaxed)
    }

    /// Enters a client into the list, unless a limit forbids it.
    pub(crate) fn admit(&self, peer: Peer, limits: ClientLimits) -> Result<Entry, Refusal> {
        let network = peer.ip().map(network);
        match self.check(network, limits, Instant::now()) {
            Ok(()) => Ok(self.clients.add(network)),
            Err(refusal) => Err(self.count(refusal)),
        }
    }

    /// Has a place for a connection of a proxy until it has said whom it is for, unless there are too
    /// many.
    pub(crate) fn expect_header(&self, limits: ClientLimits) -> Result<Place, Refusal> {
        let place = Place(Arc::clone(&self.shared));
        let pending = place.0.header_count.fetch_add(1, Ordering::SeqCst);
        if pending >= HEADER_COUNT_MAX {
            let refusal = self.count(Refusal::TooManyHeaders);
            if self.shared.state().is_to_be_told(refusal, Instant::now()) {
                warn!(pending, "a client is refused: {refusal}");
            }
            return Err(refusal);
        }
        let count = self.clients.count() + pending;
        match self.shared.state().check_count(count, limits) {
            Ok(()) => Ok(place),
            Err(refusal) => Err(self.count(refusal)),
        }
    }

    /// Notes that a proxy did not say whom it is for, and logs why, but not too often. One that only
    /// looks whether somebody listens leaves at once, again and again, and that is no trouble.
    pub(crate) fn note_no_header(&self, proxy: Peer, why: &NoSource) {
        let refusal = self.count(Refusal::NoHeader);
        let is_trouble = !matches!(why, NoSource::Left);
        if is_trouble && self.shared.state().is_to_be_told(refusal, Instant::now()) {
            warn!(%proxy, "a client is refused: {refusal}: {why}");
        } else {
            debug!(%proxy, "refused: {refusal}: {why}");
        }
    }

    fn count(&self, refusal: Refusal) -> Refusal {
        self.shared.refused[refusal as usize].fetch_add(1, Ordering::Relaxed);
        refusal
    }

    fn check(
        &self,
        network: Option<IpAddr>,
        limits: ClientLimits,
        now: Instant,
    ) -> Result<(), Refusal> {
        let (count, of_network) = self.clients.counts(network);
        let pending = self.shared.header_count.load(Ordering::SeqCst);
        let mut state = self.shared.state();
        state.check_count(count + pending, limits)?;
        let Some(network) = network else {
            return Ok(());
        };
        if is_reached(of_network, limits.per_network_max) {
            state.warn(network, Refusal::FullForNetwork, now);
            return Err(Refusal::FullForNetwork);
        }
        if is_reached(
            state.connected_now(network, limits, now),
            limits.rate_per_network_max,
        ) {
            state.warn(network, Refusal::TooFast, now);
            return Err(Refusal::TooFast);
        }
        Ok(())
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Checks how many clients there are of all networks.
    fn check_count(&mut self, count: usize, limits: ClientLimits) -> Result<(), Refusal> {
        if count >= limits.count_max {
            if !std::mem::replace(&mut self.is_full, true) {
                warn!("{count} clients are connected, no more are served until one leaves");
            }
            return Err(Refusal::Full);
        }
        // Clients that come and go at the limit are not to fill the log.
        self.is_full &= count > limits.count_max / 2;
        Ok(())
    }

    /// Counts a client, and returns how many of its network came before in this second.
    fn connected_now(&mut self, network: IpAddr, limits: ClientLimits, now: Instant) -> u32 {
        if limits.rate_per_network_max == 0 {
            return 0;
        }
        if self.second.is_none_or(|begun| now - begun >= SECOND) {
            self.second = Some(now);
            self.connected.clear();
        }
        let count = self.connected.entry(network).or_default();
        *count += 1;
        *count - 1
    }

    fn warn(&mut self, network: IpAddr, refusal: Refusal, now: Instant) {
        if self.is_to_be_told(refusal, now) {
            warn!(%network, "a client is refused: {refusal}");
        }
    }

    /// Tells whether it was not logged for a while that clients are refused for a reason.
    fn is_to_be_told(&mut self, refusal: Refusal, now: Instant) -> bool {
        let told_at = &mut self.told_at[refusal as usize];
        let is_due = told_at.is_none_or(|at| now - at >= LOG_PERIOD);
        if is_due {
            *told_at = Some(now);
        }
        is_due
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.header_count.fetch_sub(1, Ordering::SeqCst);
    }
}

fn is_reached(count: u32, max: u32) -> bool {
    max > 0 && count >= max
}

/// Returns what stands for the address: itself, or the network that one subscriber of IPv6 has, which
/// has 64 bits. Source: RFC 6177, section 2.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
        ip => ip,
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// How many connections of proxies may wait for their headers. A judgement: a header comes with the
/// first bytes of its connection, so a proxy that works has a few of them on the way.
const HEADER_COUNT_MAX: usize = 1024;

/// How long nothing more is logged of clients that are refused for the same reason.
const LOG_PERIOD: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: ClientLimits = ClientLimits {
        count_max: usize::MAX,
        per_network_max: 0,
        rate_per_network_max: 0,
    };

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn peer(ip: &str) -> Peer {
        Peer::Ip(self::ip(ip), 4000)
    }

    #[test]
    fn a_network_of_64_bits_counts_as_one_address() {
        assert_eq!(network(ip("192.0.2.7")), ip("192.0.2.7"));
        assert_eq!(network(ip("::ffff:192.0.2.7")), ip("192.0.2.7"));
        assert_eq!(network(ip("2001:db8:1:2:3:4:5:6")), ip("2001:db8:1:2::"));
        assert_ne!(network(ip("2001:db8:1:3::1")), ip("2001:db8:1:2::"));
    }

    #[test]
    fn a_network_may_have_so_many_clients_and_another_one_more() {
        let admission = Admission::default();
        let limits = ClientLimits {
            per_network_max: 2,
            ..NONE
        };
        let mut entries: Vec<_> = (1..=2)
            .map(|host| {
                admission
                    .admit(peer(&format!("2001:db8::{host}")), limits)
                    .unwrap()
            })
            .collect();
        let third = || admission.admit(peer("2001:db8::3"), limits);
        assert_eq!(third().unwrap_err(), Refusal::FullForNetwork);
        assert_eq!(third().unwrap_err(), Refusal::FullForNetwork);
        entries.push(admission.admit(peer("2001:db8:0:1::3"), limits).unwrap());
        entries.remove(0);
        entries.push(third().unwrap());
        assert_eq!(admission.clients().count(), 3);
        assert_eq!(admission.refused(Refusal::FullForNetwork), 2);
        assert_eq!(admission.refused(Refusal::Full), 0);
    }

    #[test]
    fn a_network_may_connect_so_often_in_a_second() {
        let admission = Admission::default();
        let limits = ClientLimits {
            rate_per_network_max: 3,
            ..NONE
        };
        let begin = Instant::now();
        let check = |text: &str, millis| {
            let now = begin + Duration::from_millis(millis);
            admission.check(Some(network(ip(text))), limits, now)
        };
        for millis in [0, 300, 600] {
            assert_eq!(check("192.0.2.1", millis), Ok(()));
        }
        assert_eq!(check("192.0.2.1", 999), Err(Refusal::TooFast));
        assert_eq!(check("192.0.2.2", 999), Ok(()));
        assert_eq!(check("192.0.2.1", 1000), Ok(()));
    }

    #[test]
    fn without_limits_nothing_is_counted() {
        let admission = Admission::default();
        for _ in 0..1000 {
            admission
                .check(Some(ip("192.0.2.1")), NONE, Instant::now())
                .unwrap();
        }
        let state = admission.shared.state.lock().unwrap();
        assert!(state.connected.is_empty());
    }

    #[test]
    fn clients_of_a_unix_socket_count_and_have_no_network() {
        let admission = Admission::default();
        let limits = ClientLimits {
            count_max: 3,
            per_network_max: 1,
            rate_per_network_max: 1,
        };
        let admit = || admission.admit(Peer::Unix(None), limits);
        let _entries: Vec<_> = (0..3).map(|_| admit().unwrap()).collect();
        assert_eq!(admit().unwrap_err(), Refusal::Full);
    }

    #[test]
    fn connections_without_a_header_have_places_and_give_them_back() {
        let admission = Admission::default();
        let expect = |limits| admission.expect_header(limits);
        let places: Vec<_> = (0..HEADER_COUNT_MAX)
            .map(|_| expect(NONE).unwrap())
            .collect();
        assert_eq!(expect(NONE).unwrap_err(), Refusal::TooManyHeaders);
        drop(places);
        let limits = ClientLimits {
            count_max: 2,
            ..NONE
        };
        // They take the place of clients, too: each has a descriptor.
        let places = [expect(limits).unwrap(), expect(limits).unwrap()];
        assert_eq!(expect(limits).unwrap_err(), Refusal::Full);
        let refused = admission.admit(peer("192.0.2.1"), limits);
        assert_eq!(refused.unwrap_err(), Refusal::Full);
        drop(places);
        admission.admit(peer("192.0.2.1"), limits).unwrap();
        assert_eq!(admission.refused(Refusal::TooManyHeaders), 1);
        assert_eq!(admission.refused(Refusal::Full), 2);
    }
}
