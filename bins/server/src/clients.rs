//! The clients that are connected.

use std::collections::{HashMap, hash_map};
use std::future;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use slab::Slab;

/// The clients that are connected. It is shared by its clones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clients {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    list: Mutex<List>,
    /// Whether clients are to be left, though they did not take everything.
    is_cut: AtomicBool,
    stalled_count: AtomicU64,
}

#[derive(Debug, Default)]
struct List {
    /// Wakes the tasks of the clients.
    wakers: Slab<Waker>,
    /// How many there are of each network.
    networks: HashMap<IpAddr, u32>,
    /// How many clients have left.
    left_count: u64,
    /// Wakes the task that waits until a client leaves.
    waiting: Option<Waker>,
}

/// A client's entry in the list. It is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Entry {
    clients: Clients,
    key: u32,
    network: IpAddr,
}

impl Clients {
    /// Returns how many clients are connected.
    pub(crate) fn count(&self) -> usize {
        self.list().wakers.len()
    }

    /// Returns how many clients are connected, and how many of these are of a network.
    pub(crate) fn counts(&self, network: IpAddr) -> (usize, u32) {
        let list = self.list();
        let of_network = list.networks.get(&network).copied();
        (list.wakers.len(), of_network.unwrap_or_default())
    }

    /// Adds a client of a network.
    pub(crate) fn add(&self, network: IpAddr) -> Entry {
        let mut list = self.list();
        *list.networks.entry(network).or_default() += 1;
        // The task has no waker until it runs.
        let key = list.wakers.insert(Waker::noop().clone());
        drop(list);
        Entry {
            clients: self.clone(),
            key: key
                .try_into()
                .expect("a client has a descriptor, which is an i32"),
            network,
        }
    }

    /// Waits until no client is connected. One task may wait at a time.
    pub(crate) async fn gone(&self) {
        self.wait_until(|list| list.wakers.is_empty()).await;
    }

    /// Waits until one more client has left. Of several tasks that wait, the last one is told.
    pub(crate) async fn left(&self) {
        let left_count = self.list().left_count;
        self.wait_until(|list| list.left_count > left_count).await;
    }

    async fn wait_until(&self, is_so: impl Fn(&List) -> bool) {
        future::poll_fn(|cx| {
            let mut list = self.list();
            if is_so(&list) {
                return Poll::Ready(());
            }
            let before = list.waiting.replace(cx.waker().clone());
            drop(list);
            drop(before);
            Poll::Pending
        })
        .await;
    }

    /// Has all clients left that are still connected.
    pub(crate) fn cut(&self) {
        self.shared.is_cut.store(true, Ordering::SeqCst);
        let wakers: Vec<_> = self
            .list()
            .wakers
            .iter()
            .map(|(_, waker)| waker.clone())
            .collect();
        for waker in wakers {
            waker.wake();
        }
    }

    /// Notes that a client was closed because it took nothing for too long.
    pub(crate) fn note_stalled(&self) {
        self.shared.stalled_count.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns how many clients were closed because they took nothing for too long.
    pub(crate) fn stalled_count(&self) -> u64 {
        self.shared.stalled_count.load(Ordering::Relaxed)
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.shared
            .list
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// Returns the list.
    pub(crate) fn clients(&self) -> &Clients {
        &self.clients
    }

    /// Sets how the client's task is woken when it is cut.
    pub(crate) fn set_waker(&self, waker: &Waker) {
        let waker = waker.clone();
        let before = std::mem::replace(&mut self.clients.list().wakers[self.key as usize], waker);
        drop(before);
    }

    /// Tells whether the client is to be left.
    pub(crate) fn is_cut(&self) -> bool {
        self.clients.shared.is_cut.load(Ordering::SeqCst)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut list = self.clients.list();
        let waker = list.wakers.remove(self.key as usize);
        if let hash_map::Entry::Occupied(mut count) = list.networks.entry(self.network) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        list.left_count += 1;
        let waiting = list.waiting.take();
        drop(list);
        drop(waker);
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }
}
