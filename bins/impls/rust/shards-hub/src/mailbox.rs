//! What other threads have for an event loop.

use std::mem;
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};

/// Holds which clients of a loop are due for a turn, and ends the loop's wait when that comes from elsewhere.
pub(crate) struct Mailbox {
    /// Guards what the loop and all that wake its clients share.
    mail: Mutex<Mail>,
    waker: mio::Waker,
}

#[derive(Default)]
struct Mail {
    due: Vec<usize>,
    is_ending: bool,
    /// Whether the loop waits, or is about to. Only then does it take a system call to wake it.
    is_resting: bool,
}

impl Mailbox {
    pub(crate) fn new(waker: mio::Waker) -> Self {
        let mail = Mutex::default();
        Self { mail, waker }
    }

    /// Says that the loop is about to wait, unless there is something for it. Tells whether it may.
    pub(crate) fn rest(&self) -> bool {
        let mut mail = self.mail.lock().expect(NO_PANIC);
        mail.is_resting = mail.due.is_empty();
        mail.is_resting
    }

    /// Takes who is due, and tells whether the server ends.
    pub(crate) fn take(&self, due: &mut Vec<usize>) -> bool {
        let mut mail = self.mail.lock().expect(NO_PANIC);
        mail.is_resting = false;
        due.append(&mut mail.due);
        mail.is_ending
    }

    /// Tells the loop that the server ends.
    pub(crate) fn end(&self) {
        self.change(|mail| mail.is_ending = true);
    }

    /// Makes the waker of a client.
    pub(crate) fn waker(self: Arc<Self>, key: usize) -> Waker {
        let mailbox = self;
        Arc::new(ClientWaker { key, mailbox }).into()
    }

    fn change(&self, change: impl FnOnce(&mut Mail)) {
        let mut mail = self.mail.lock().expect(NO_PANIC);
        change(&mut mail);
        if mem::take(&mut mail.is_resting) {
            drop(mail);
            // It cannot fail while the loop has its end.
            _ = self.waker.wake();
        }
    }
}

/// Makes a client due for a turn. Each place where the hub keeps a waker wakes it once.
struct ClientWaker {
    key: usize,
    mailbox: Arc<Mailbox>,
}

impl Wake for ClientWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.mailbox.change(|mail| mail.due.push(self.key));
    }
}

/// Why the lock is not poisoned.
const NO_PANIC: &str = "nothing panics with it";
