//! Which address to try, and when.

use std::time::Duration;

use crate::{Address, Backoff};

/// The addresses of a server, which are tried in turn.
///
/// One that was lost after it had served for a while is tried again first. There is no wait before
/// an address that was not tried since.
#[derive(Debug)]
pub(super) struct Rota {
    /// Invariant: there is at least one.
    addresses: Vec<Address>,
    current: usize,
    /// How many tries have failed since one succeeded.
    failures: usize,
    backoff: Backoff,
}

impl Rota {
    pub(super) fn new(addresses: &[Address], backoff: Backoff) -> Self {
        assert!(!addresses.is_empty(), "there is an address to connect to");
        Self {
            addresses: addresses.to_vec(),
            current: 0,
            failures: 0,
            backoff,
        }
    }

    pub(super) fn address(&self) -> &Address {
        &self.addresses[self.current]
    }

    /// Notes that the current address served for a while and was lost. Returns how long to wait
    /// before it is tried again.
    pub(super) fn lose(&mut self) -> Duration {
        self.failures = 0;
        self.backoff.reset();
        self.backoff.next_wait()
    }

    /// Notes that the current address failed. Returns how long to wait before the next is tried.
    pub(super) fn fail(&mut self) -> Duration {
        self.failures += 1;
        self.current = (self.current + 1) % self.addresses.len();
        if self.is_round() {
            self.backoff.next_wait()
        } else {
            Duration::ZERO
        }
    }

    /// Tells whether all addresses have failed since one succeeded, or as often as each other.
    pub(super) fn is_round(&self) -> bool {
        self.failures.is_multiple_of(self.addresses.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_is_tried_before_there_is_a_wait() {
        let addresses = ["a:1", "b:2", "c:3"].map(|text| text.parse().unwrap());
        let long = Duration::from_secs(60);
        let mut rota = Rota::new(&addresses, Backoff::new(long, long));
        for _ in 0..2 {
            assert_eq!(rota.address(), &addresses[0]);
            assert_eq!(rota.fail(), Duration::ZERO);
            assert_eq!(rota.address(), &addresses[1]);
            assert_eq!(rota.fail(), Duration::ZERO);
            assert_eq!(rota.address(), &addresses[2]);
            assert!(rota.fail() >= long / 2);
        }
        // The second serves for a while.
        rota.fail();
        assert!(rota.lose() >= long / 2);
        assert_eq!(rota.address(), &addresses[1]);
        assert_eq!(rota.fail(), Duration::ZERO);
        assert_eq!(rota.fail(), Duration::ZERO);
        assert!(rota.fail() >= long / 2);
    }
}
