use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Poll, Waker};

use chat_hub::{Progress, Subscriber, WriteError, Writer};
use loom::future::block_on;
use loom::sync::Mutex;
use loom::thread::{self, JoinHandle};

use crate::explore::Moment;
use crate::steps::numbers;

/// A socket whose buffer is full until its peer empties it. Then it has room for everything.
#[derive(Default)]
pub(crate) struct Socket {
    state: Mutex<SocketState>,
    /// How often it took nothing. It is no step of a model, so it is not loom's.
    refused_count: AtomicU32,
}

#[derive(Default)]
struct SocketState {
    has_room: bool,
    waker: Option<Waker>,
}

impl Socket {
    pub(crate) fn empty(&self) {
        let mut state = self.state.lock().unwrap();
        state.has_room = true;
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(crate) fn has_room(&self) -> bool {
        self.state.lock().unwrap().has_room
    }

    pub(crate) fn refused_count(&self) -> u32 {
        self.refused_count.load(Ordering::Relaxed)
    }

    fn write(
        &self,
        waker: &Waker,
        slices: &[IoSlice<'_>],
        wire: &mut Vec<u8>,
    ) -> io::Result<usize> {
        let mut state = self.state.lock().unwrap();
        if state.has_room {
            let before = wire.len();
            slices
                .iter()
                .for_each(|slice| wire.extend_from_slice(slice));
            return Ok(wire.len() - before);
        }
        state.waker = Some(waker.clone());
        self.refused_count.fetch_add(1, Ordering::Relaxed);
        Err(io::ErrorKind::WouldBlock.into())
    }
}

/// What came of serving a subscriber.
pub(crate) struct Served {
    /// The numbers of the messages that its socket took.
    pub(crate) received: Vec<u64>,
    pub(crate) writer: Writer,
}

impl Served {
    pub(crate) fn delivered(&self) -> u64 {
        self.received.len() as u64
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.writer.subscriber().dropped()
    }
}

/// Starts a task that writes what a subscriber reads to a socket, until `count` messages were
/// written or lost, or to the end.
pub(crate) fn spawn_serving(
    subscriber: Subscriber,
    socket: &Arc<Socket>,
    count: u64,
    stalls: &'static Moment,
) -> JoinHandle<Served> {
    let (socket, mut writer) = (Arc::clone(socket), subscriber.into_writer());
    thread::spawn(move || {
        let mut wire = Vec::new();
        block_on(poll_fn(|cx| {
            let waker = cx.waker().clone();
            let write = |slices: &[IoSlice<'_>]| socket.write(&waker, slices, &mut wire);
            let progress = writer.advance(cx, &waker, write);
            let is_over = match progress {
                Ok(Progress::Ended) | Err(WriteError::Lagged) => true,
                Ok(Progress::Stalled) => {
                    stalls.comes();
                    false
                }
                Ok(Progress::CaughtUp) => false,
                Ok(Progress::Yielded) => panic!("a log of the least capacity is written at once"),
                Err(error) => panic!("the socket does not fail: {error}"),
            };
            // A read that finds nothing may have found the rest lost.
            let read_count = numbers(&wire).len() as u64 + writer.subscriber().dropped();
            if is_over || read_count == count {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }));
        Served {
            received: numbers(&wire),
            writer,
        }
    })
}
