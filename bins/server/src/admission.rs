//! Who is let in.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::warn;

use crate::clients::{Clients, Entry};

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
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether there were too many clients. It is logged when it begins, not with every client.
    is_full: bool,
    /// When it was logged last that a network has too many clients.
    told_at: Option<Instant>,
    /// The second that is counted, and how many clients of each network connected in it.
    second: Option<Instant>,
    connected: HashMap<IpAddr, u32>,
}

impl Refusal {
    pub(crate) const ALL: [Self; 3] = [Self::Full, Self::FullForNetwork, Self::TooFast];
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "as many clients are connected as there may be",
            Self::FullForNetwork => "its address has as many clients as one may have",
            Self::TooFast => "clients of its address connect too fast",
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

    /// Enters a client that comes from `ip` into the list, unless a limit forbids it.
    pub(crate) fn admit(&self, ip: IpAddr, limits: ClientLimits) -> Result<Entry, Refusal> {
        let network = network(ip);
        let refusal = match self.check(network, limits, Instant::now()) {
            Ok(()) => return Ok(self.clients.add(network)),
            Err(refusal) => refusal,
        };
        self.shared.refused[refusal as usize].fetch_add(1, Ordering::Relaxed);
        Err(refusal)
    }

    fn check(&self, network: IpAddr, limits: ClientLimits, now: Instant) -> Result<(), Refusal> {
        let (count, of_network) = self.clients.counts(network);
        let state = self.shared.state.lock();
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        if count >= limits.count_max {
            if !std::mem::replace(&mut state.is_full, true) {
                warn!("{count} clients are connected, no more are served until one leaves");
            }
            return Err(Refusal::Full);
        }
        // Clients that come and go at the limit are not to fill the log.
        state.is_full &= count > limits.count_max / 2;
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

impl State {
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
        if self.told_at.is_none_or(|at| now - at >= LOG_PERIOD) {
            self.told_at = Some(now);
            warn!(%network, "a client is refused: {refusal}");
        }
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

/// How long nothing more is logged of networks that have too many clients.
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
                    .admit(ip(&format!("2001:db8::{host}")), limits)
                    .unwrap()
            })
            .collect();
        let third = || admission.admit(ip("2001:db8::3"), limits);
        assert_eq!(third().unwrap_err(), Refusal::FullForNetwork);
        assert_eq!(third().unwrap_err(), Refusal::FullForNetwork);
        entries.push(admission.admit(ip("2001:db8:0:1::3"), limits).unwrap());
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
            admission.check(network(ip(text)), limits, now)
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
                .check(ip("192.0.2.1"), NONE, Instant::now())
                .unwrap();
        }
        let state = admission.shared.state.lock().unwrap();
        assert!(state.connected.is_empty());
    }
}
