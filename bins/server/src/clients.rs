//! The clients that are connected.

use std::collections::{HashMap, hash_map};
use std::future;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use slab::Slab;

use crate::client::{Client, End};
use crate::loss_log::LossLog;

/// The clients that are connected. It is shared by its clones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clients {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    list: Mutex<List>,
    /// Whether any client was ever to be left. As long as none was, a client need not look further.
    is_asked: AtomicBool,
    /// How long those are waited for that take nothing, once the server ends.
    patience: OnceLock<Duration>,
    /// Whether clients are to be left, though they did not take everything.
    is_cut: AtomicBool,
    /// What was logged of clients that lose messages.
    loss_log: LossLog,
    /// How many sessions have ended, by the way they did.
    ended: [AtomicU64; End::ALL.len()],
}

#[derive(Debug, Default)]
struct List {
    clients: Slab<Listed>,
    /// How many clients have ever been added.
    added_count: u64,
    /// How many there are of each network.
    networks: HashMap<IpAddr, u32>,
    /// How many clients have left.
    left_count: u64,
    /// Wakes the task that waits until a client leaves.
    waiting: Option<Waker>,
}

#[derive(Debug)]
struct Listed {
    /// Wakes the client's task.
    waker: Waker,
    /// Who it is, from its first turn on.
    client: Option<Arc<Client>>,
}

/// A client's entry in the list. It is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Entry {
    clients: Clients,
    key: u32,
    network: Option<IpAddr>,
    client: Option<Arc<Client>>,
}

impl Clients {
    /// Returns how many clients are connected.
    pub(crate) fn count(&self) -> usize {
        self.list().clients.len()
    }

    /// Returns how many clients are connected, and how many of these are of a network.
    pub(crate) fn counts(&self, network: Option<IpAddr>) -> (usize, u32) {
        let list = self.list();
        let of_network = network.and_then(|network| list.networks.get(&network).copied());
        (list.clients.len(), of_network.unwrap_or_default())
    }

    /// Adds a client of a network, if it is of one.
    pub(crate) fn add(&self, network: Option<IpAddr>) -> Entry {
        let mut list = self.list();
        if let Some(network) = network {
            *list.networks.entry(network).or_default() += 1;
        }
        // The task has no waker until it runs.
        let key = list.clients.insert(Listed {
            waker: Waker::noop().clone(),
            client: None,
        });
        list.added_count += 1;
        drop(list);
        Entry {
            clients: self.clone(),
            key: key
                .try_into()
                .expect("a client has a descriptor, which is an i32"),
            network,
            client: None,
        }
    }

    /// Returns how many clients have ever been added.
    pub(crate) fn added_count(&self) -> u64 {
        self.list().added_count
    }

    /// Returns the clients that have had their first turn.
    pub(crate) fn all(&self) -> Vec<Arc<Client>> {
        let list = self.list();
        let clients = list.clients.iter();
        clients
            .filter_map(|(_, listed)| listed.client.clone())
            .collect()
    }

    /// Waits until no client is connected. One task may wait at a time.
    pub(crate) async fn gone(&self) {
        self.wait_until(|list| list.clients.is_empty()).await;
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

    /// Has those clients left that take nothing for so long, while there is something for them.
    pub(crate) fn hurry(&self, patience: Duration) {
        // It is set once: a server ends once.
        let _ = self.shared.patience.set(patience);
        self.ask(|_| true);
    }

    /// Has all clients left that are still connected.
    pub(crate) fn cut(&self) {
        self.shared.is_cut.store(true, Ordering::SeqCst);
        self.ask(|_| true);
    }

    /// Has those clients left that are chosen, whatever there is for them; returns how many.
    pub(crate) fn close(&self, is_chosen: impl Fn(&Client) -> bool) -> usize {
        self.ask(|listed| {
            let chosen = listed.client.as_ref().filter(|client| is_chosen(client));
            if let Some(client) = chosen {
                client.close();
            }
            chosen.is_some()
        })
    }

    /// Wakes the clients that are chosen, to find out whether they are to be left.
    fn ask(&self, mut is_chosen: impl FnMut(&Listed) -> bool) -> usize {
        let mut wakers = Vec::new();
        for (_, listed) in &self.list().clients {
            if is_chosen(listed) {
                wakers.push(listed.waker.clone());
            }
        }
        // What was set before is seen by who sees this.
        self.shared.is_asked.store(true, Ordering::SeqCst);
        let count = wakers.len();
        for waker in wakers {
            waker.wake();
        }
        count
    }

    /// Returns what was logged of clients that lose messages.
    pub(crate) fn loss_log(&self) -> &LossLog {
        &self.shared.loss_log
    }

    /// Notes how a session has ended.
    pub(crate) fn note_end(&self, end: End) {
        self.shared.ended[end as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Returns how many sessions have ended in a way.
    pub(crate) fn ended_count(&self, end: End) -> u64 {
        self.shared.ended[end as usize].load(Ordering::Relaxed)
    }

    /// Returns how many clients were closed because they took nothing, or too little, for too long.
    pub(crate) fn stalled_count(&self) -> u64 {
        self.ended_count(End::Stalled) + self.ended_count(End::Slow)
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

    /// Sets who the client is, and how its task is woken when it is to be left.
    pub(crate) fn begin(&mut self, client: Client, waker: &Waker) {
        let client = Some(Arc::new(client));
        self.client.clone_from(&client);
        let waker = waker.clone();
        let mut list = self.clients.list();
        let listed = &mut list.clients[self.key as usize];
        let before = std::mem::replace(listed, Listed { waker, client });
        drop(list);
        drop(before);
    }

    /// Returns who the client is, from its first turn on.
    pub(crate) fn client(&self) -> Option<&Client> {
        self.client.as_deref()
    }

    /// Returns why the client is to be left, if it is.
    pub(crate) fn end(&self) -> Option<End> {
        let shared = &self.clients.shared;
        if !shared.is_asked.load(Ordering::SeqCst) {
            return None;
        }
        if shared.is_cut.load(Ordering::SeqCst) {
            return Some(End::Cut);
        }
        let is_closed = self.client().is_some_and(Client::is_closed);
        is_closed.then_some(End::Closed)
    }

    /// Returns how long the client may take nothing of what there is for it, once the server ends.
    pub(crate) fn patience(&self) -> Option<Duration> {
        let shared = &self.clients.shared;
        let is_asked = shared.is_asked.load(Ordering::SeqCst);
        is_asked.then(|| shared.patience.get().copied()).flatten()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut list = self.clients.list();
        let listed = list.clients.remove(self.key as usize);
        if let Some(network) = self.network
            && let hash_map::Entry::Occupied(mut count) = list.networks.entry(network)
        {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        list.left_count += 1;
        let waiting = list.waiting.take();
        drop(list);
        drop(listed);
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }
}
