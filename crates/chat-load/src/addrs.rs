//! Where clients connect.

use std::net::SocketAddr;

/// The addresses of the servers that promise one order together; most often it is one. Clients are
/// spread over them in turn.
///
/// Invariant: there is at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addrs(Vec<SocketAddr>);

impl Addrs {
    /// Makes one of several addresses; `None` when there are none.
    ///
    /// # Examples
    ///
    /// ```
    /// use chat_load::Addrs;
    ///
    /// let [a, b] = ["127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap()];
    /// let addrs = Addrs::new([a, b]).unwrap();
    /// assert_eq!((addrs.of(0), addrs.of(1), addrs.of(2)), (a, b, a));
    /// assert_eq!(Addrs::new([]), None);
    /// ```
    pub fn new(addrs: impl IntoIterator<Item = SocketAddr>) -> Option<Self> {
        let addrs: Vec<SocketAddr> = addrs.into_iter().collect();
        (!addrs.is_empty()).then_some(Self(addrs))
    }

    /// Returns the address that the client with this number connects to.
    pub fn of(&self, client: usize) -> SocketAddr {
        self.0[client % self.0.len()]
    }

    /// Returns how many servers there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Returns the addresses, in the order of the servers.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = SocketAddr> {
        self.0.iter().copied()
    }
}

impl From<SocketAddr> for Addrs {
    fn from(addr: SocketAddr) -> Self {
        Self(vec![addr])
    }
}
