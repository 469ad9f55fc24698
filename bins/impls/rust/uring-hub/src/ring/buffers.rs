//! Memory that the kernel receives into: it takes a buffer when something has arrived, not before.

use std::io;
use std::ptr::NonNull;
use std::slice;
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};

use io_uring::Submitter;

/// A ring of free buffers, which we append to and the kernel takes from.
pub(super) struct Buffers {
    free: &'static Free,
    /// The memory of all buffers, one after another. The kernel writes to those that are free.
    memory: NonNull<u8>,
    /// How many have been given to the kernel, modulo 2 to the power of 16.
    tail: u16,
}

/// A buffer with bytes in it. Whoever has it keeps the kernel from it.
pub(crate) struct Received {
    id: u16,
    len: usize,
}

impl Received {
    /// Of a completion.
    pub(super) fn new(id: u16, len: u32) -> Self {
        let len = len as usize;
        assert!(id < COUNT && len <= LEN, "it is one of the buffers");
        Self { id, len }
    }
}

impl Buffers {
    /// What the kernel calls them.
    pub(super) const GROUP: u16 = 0;

    /// Makes buffers that are never freed, and gives all to the kernel.
    pub(super) fn register(submitter: &Submitter<'_>) -> io::Result<Self> {
        let free: &'static Free = Box::leak(Box::new(Free([const { Entry::new() }; _])));
        let memory = Box::leak(vec![0; usize::from(COUNT) * LEN].into_boxed_slice());
        let address = std::ptr::from_ref(free).addr() as u64;
        // SAFETY: The memory is aligned to pages and has as many entries as are stated. It is never freed,
        // and all of it is atomic, so the kernel may read it at any time.
        unsafe { submitter.register_buf_ring_with_flags(address, COUNT, Self::GROUP, 0)? };
        let mut buffers = Self {
            free,
            memory: NonNull::from(memory).cast(),
            tail: 0,
        };
        for id in 0..COUNT {
            buffers.give_back(Received { id, len: 0 });
        }
        Ok(buffers)
    }

    pub(super) fn bytes(&self, received: &Received) -> &[u8] {
        let start = self.start(received.id);
        // SAFETY: It is a part of the memory, which is initialised and never freed. The kernel does not
        // write to it before it is given back, for which one has to have `received`.
        unsafe { slice::from_raw_parts(start.as_ptr(), received.len) }
    }

    pub(super) fn give_back(&mut self, received: Received) {
        let Free(entries) = self.free;
        let entry = &entries[usize::from(self.tail % COUNT)];
        let address = self.start(received.id).addr().get() as u64;
        entry.address.store(address, Ordering::Relaxed);
        entry.len.store(LEN as u32, Ordering::Relaxed);
        entry.id.store(received.id, Ordering::Relaxed);
        self.tail = self.tail.wrapping_add(1);
        // Pairs with the kernel's acquire: it reads an entry after it has seen the tail behind it.
        entries[0].tail.store(self.tail, Ordering::Release);
    }

    fn start(&self, id: u16) -> NonNull<u8> {
        // SAFETY: There are so many buffers of this length in the memory: see `Received::new`.
        unsafe { self.memory.add(usize::from(id) * LEN) }
    }
}

/// Where the kernel finds free buffers: `struct io_uring_buf_ring` of linux/io_uring.h.
#[repr(C, align(4096))]
struct Free([Entry; COUNT as usize]);

/// A free buffer. The tail is where it is in the first entry only; in the others nothing is there.
#[repr(C)]
struct Entry {
    address: AtomicU64,
    len: AtomicU32,
    id: AtomicU16,
    tail: AtomicU16,
}

impl Entry {
    const fn new() -> Self {
        Self {
            address: AtomicU64::new(0),
            len: AtomicU32::new(0),
            id: AtomicU16::new(0),
            tail: AtomicU16::new(0),
        }
    }
}

/// How many buffers there are: a power of two. A judgement: more than are filled before they are read.
const COUNT: u16 = 256;

/// The length of a buffer in bytes. A judgement.
const LEN: usize = 16 * 1024;
