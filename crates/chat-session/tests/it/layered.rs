use std::collections::VecDeque;
use std::io::{self, Read};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use chat_session::{EndReason, Session};
use futures::io::{AsyncRead, AsyncWrite};
use proptest::prelude::*;

use crate::time::Time;
use crate::util::{Client, Server, message, numbers};
use crate::wire::Wire;

#[test]
fn a_read_that_has_to_write_does_not_take_the_writers_wake() {
    let mut pair = Pair::new(0);
    pair.other.send(&message(1, 99));
    pair.server.run();
    // The writer waits for room, and now the reader does, too, with a waker of its own.
    pair.lower().read_owes_len = 1;
    pair.feed(b"");
    pair.make_room(998);
    assert_eq!(pair.received(), [1], "it has room for 998 bytes");
}

#[test]
fn a_write_does_not_take_the_wake_of_a_read_that_has_to_write() {
    let mut pair = Pair::new(0);
    pair.lower().read_owes_len = 1;
    pair.feed(&message(2, 99));
    pair.other.send(&message(1, 99));
    pair.server.run();
    assert!(pair.received().is_empty());
    pair.make_room(1000);
    assert_eq!(pair.received(), [1, 2], "both go on");
}

#[test]
fn a_write_that_has_to_read_does_not_take_the_readers_wake() {
    let mut pair = Pair::new(1000);
    pair.server.run();
    pair.lower().write_owes_len = 1;
    // Now the writer waits for something to read, in the reader's place.
    pair.other.send(&message(1, 99));
    pair.server.run();
    assert!(pair.received().is_empty());
    pair.feed(&[&[0], &message(2, 99)[..]].concat());
    assert_eq!(pair.received(), [1, 2]);
}

#[test]
fn a_read_does_not_take_the_wake_of_a_write_that_has_to_read() {
    let mut pair = Pair::new(1000);
    pair.lower().write_owes_len = 2;
    pair.other.send(&message(1, 99));
    pair.server.run();
    // One byte of two: the writer waits for the other, and then the reader waits as well.
    pair.feed(&[0]);
    assert!(pair.received().is_empty());
    pair.feed(&[0]);
    assert_eq!(pair.received(), [1]);
}

#[test]
fn a_flush_does_not_take_the_wake_of_a_read_that_has_to_write() {
    let mut pair = Pair::new(0);
    pair.lower().buf_len_max = 1000;
    pair.lower().read_owes_len = 1;
    pair.feed(&message(2, 99));
    // It is taken, but cannot be flushed.
    pair.other.send(&message(1, 99));
    pair.server.run();
    pair.make_room(1000);
    assert_eq!(pair.received(), [1, 2]);
}

#[test]
fn a_stream_that_writes_to_close_is_waited_for() {
    for is_half_close in [true, false] {
        let mut pair = Pair::new(0);
        pair.lower().close_owes_len = 1;
        pair.server.run();
        if is_half_close {
            pair.lower().is_ended = true;
            pair.feed(b"");
        } else {
            pair.server.hub.close();
            pair.server.run();
        }
        assert!(!pair.lower().is_closed);
        pair.make_room(1);
        assert!(pair.lower().is_closed);
        pair.lower().is_ended = true;
        pair.feed(b"");
        assert!(pair.client.end().unwrap().is_ok());
    }
}

#[test]
fn a_discarding_read_that_has_to_write_is_waited_for() {
    let mut pair = Pair::new(0);
    pair.server.run();
    pair.server.hub.close();
    pair.server.run();
    assert!(pair.lower().is_closed);
    pair.lower().read_owes_len = 1;
    pair.lower().is_ended = true;
    pair.feed(&message(1, 99));
    assert!(pair.client.end().is_none());
    pair.make_room(1);
    assert!(pair.client.end().unwrap().is_ok());
}

/// What happens to a layered stream.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// The client sends its next message.
    Feed,
    /// Another client sends a message.
    Publish,
    /// The system takes more.
    MakeRoom(usize),
    /// The next read has to write first.
    ReadOwes(usize),
    /// The next write has to read first.
    WriteOwes,
    Run,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(Event::Feed),
        Just(Event::Publish),
        (1..300_usize).prop_map(Event::MakeRoom),
        (1..200_usize).prop_map(Event::ReadOwes),
        Just(Event::WriteOwes),
        Just(Event::Run),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_schedule_lets_a_layered_session_sleep(
        events in prop::collection::vec(event(), 0..40),
        buf_len_max in prop_oneof![Just(0), 1..400_usize],
    ) {
        let mut pair = Pair::new(0);
        pair.lower().buf_len_max = buf_len_max;
        pair.server.run();
        let (mut fed, mut published) = (0, 0);
        for event in events {
            match event {
                Event::Feed => {
                    // What a write owes is read in front of the messages.
                    if pair.lower().write_owes_len == 0 {
                        pair.lower().feed(&message(fed, 9));
                        fed += 1;
                    }
                }
                Event::Publish => {
                    pair.other.send(&message(1 << 32 | published, 9));
                    published += 1;
                }
                Event::MakeRoom(len) => pair.lower().make_room(len),
                Event::ReadOwes(len) => pair.lower().read_owes_len = len,
                Event::WriteOwes => {
                    if pair.lower().incoming.is_empty() {
                        pair.lower().write_owes_len = 1;
                    }
                }
                Event::Run => pair.server.run(),
            }
        }
        pair.server.run();
        if pair.lower().write_owes_len > 0 {
            pair.lower().feed(&[0]);
        }
        pair.make_room(1 << 20);
        let received = pair.received();
        prop_assert_eq!(received.len() as u64, fed + published);
    }
}

/// A client with a layered stream, and one with a bare one.
struct Pair {
    server: Server,
    client: Client,
    other: Client,
    lower: Arc<Mutex<Lower>>,
}

impl Pair {
    fn new(room: usize) -> Self {
        let mut server = Server::new(1 << 20);
        let lower = Arc::new(Mutex::new(Lower::default()));
        lower.lock().unwrap().room = room;
        let session = Session::new(Layered(Arc::clone(&lower)), &server.hub);
        let client = server.serve(Wire::with_room(0), session);
        let other = server.connect();
        Self {
            server,
            client,
            other,
            lower,
        }
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.lower().feed(bytes);
        self.server.run();
    }

    fn make_room(&mut self, len: usize) {
        self.lower().make_room(len);
        self.server.run();
    }

    fn lower(&self) -> MutexGuard<'_, Lower> {
        self.lower.lock().unwrap()
    }

    fn received(&self) -> Vec<u64> {
        numbers(&self.lower().outgoing)
    }
}

/// What is below a layered stream. It has one waker a direction: the last poll's.
#[derive(Default)]
struct Lower {
    incoming: VecDeque<u8>,
    is_ended: bool,
    is_closed: bool,
    outgoing: Vec<u8>,
    room: usize,
    /// What was written and is not below yet, and how much of it there may be.
    buf: Vec<u8>,
    buf_len_max: usize,
    /// How many bytes of its own the layer has to write before it reads, and before it closes.
    read_owes_len: usize,
    close_owes_len: usize,
    /// How many bytes of its own the layer has to read before it writes.
    write_owes_len: usize,
    readable: Option<Waker>,
    writable: Option<Waker>,
}

impl Lower {
    fn feed(&mut self, bytes: &[u8]) {
        self.incoming.extend(bytes);
        if let Some(waker) = self.readable.take() {
            waker.wake();
        }
    }

    fn make_room(&mut self, len: usize) {
        self.room += len;
        if let Some(waker) = self.writable.take() {
            waker.wake();
        }
    }

    /// Writes `owed` bytes of the layer's own; returns how many are left.
    fn write_own(&mut self, cx: &mut Context<'_>, owed: usize) -> usize {
        let len = owed.min(self.room);
        self.room -= len;
        if len < owed {
            self.writable = Some(cx.waker().clone());
        }
        owed - len
    }

    /// Moves down what was written.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let len = self.buf.len().min(self.room);
        self.room -= len;
        self.outgoing.extend(self.buf.drain(..len));
        if self.buf.is_empty() {
            return Poll::Ready(());
        }
        self.writable = Some(cx.waker().clone());
        Poll::Pending
    }
}

struct Layered(Arc<Mutex<Lower>>);

impl AsyncRead for Layered {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut lower = self.0.lock().unwrap();
        let owed = lower.read_owes_len;
        lower.read_owes_len = lower.write_own(cx, owed);
        if lower.read_owes_len > 0 {
            return Poll::Pending;
        }
        // What a write owes is not for the reader.
        let own_len = lower.write_owes_len.min(lower.incoming.len());
        lower.incoming.drain(..own_len);
        lower.write_owes_len -= own_len;
        if lower.incoming.is_empty() && !lower.is_ended {
            lower.readable = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(lower.incoming.read(buf))
    }
}

impl AsyncWrite for Layered {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut lower = self.0.lock().unwrap();
        let own_len = lower.write_owes_len.min(lower.incoming.len());
        lower.incoming.drain(..own_len);
        lower.write_owes_len -= own_len;
        if lower.write_owes_len > 0 {
            lower.readable = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let _ = lower.poll_drain(cx);
        let room = (lower.buf_len_max - lower.buf.len()).max(lower.room);
        let len = buf.len().min(room);
        if len == 0 {
            lower.writable = Some(cx.waker().clone());
            return Poll::Pending;
        }
        lower.buf.extend(&buf[..len]);
        let _ = lower.poll_drain(cx);
        Poll::Ready(Ok(len))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().unwrap().poll_drain(cx).map(Ok)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut lower = self.0.lock().unwrap();
        let owed = lower.close_owes_len;
        lower.close_owes_len = lower.write_own(cx, owed);
        if lower.close_owes_len > 0 {
            return Poll::Pending;
        }
        lower.is_closed = true;
        Poll::Ready(Ok(()))
    }
}

#[test]
fn a_flush_that_never_ends_is_a_stall() {
    // It is taken, but cannot be flushed.
    check_stalls(|lower| lower.buf_len_max = 1000);
}

#[test]
fn a_close_that_never_ends_is_a_stall() {
    // The echo fits, and what the layer writes to close does not.
    check_stalls(|lower| (lower.room, lower.close_owes_len) = (100, 1));
}

/// Checks that a session which has written all it has to write, and still waits for the stream, is
/// ended by its time limit.
#[track_caller]
fn check_stalls(prepare: impl FnOnce(&mut Lower)) {
    let mut server = Server::new(1 << 20);
    let lower = Arc::new(Mutex::new(Lower::default()));
    prepare(&mut lower.lock().unwrap());
    let time = Time::default();
    let sleeping = time.clone();
    let session = Session::new(Layered(Arc::clone(&lower)), &server.hub);
    let limited = session.with_stall_timeout(Some(Duration::from_secs(8)), move |duration| {
        sleeping.sleep(duration)
    });
    let mut client = server.serve(Wire::with_room(0), limited);
    lower.lock().unwrap().feed(&message(1, 99));
    server.run();
    lower.lock().unwrap().is_ended = true;
    lower.lock().unwrap().feed(b"");
    server.run();
    assert!(client.end().is_none(), "the stream is not done");
    for _ in 0..9 {
        time.pass(Duration::from_secs(1));
        server.run();
    }
    let error = client
        .end()
        .expect("it took nothing for too long")
        .unwrap_err();
    assert!(matches!(error.reason(), EndReason::Stalled(_)));
}
