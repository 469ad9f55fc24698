//! A subscriber that writes to a socket, and what becomes of it.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::mem;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use chat_hub::{Policy, Writer};
use chat_proto::Messages;

use super::play::{Random, to_len};

/// A writer, and the socket that it writes to.
pub(super) struct Session {
    pub(super) writer: Writer,
    pub(super) socket: Rc<RefCell<Socket>>,
    pub(super) record: Record,
    pub(super) records: Rc<RefCell<Vec<Record>>>,
}

impl Session {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, random: &mut Random) -> Poll<()> {
        let was_laggard = self.writer.subscriber().is_laggard();
        let retry = cx.waker().clone();
        let Self { writer, socket, .. } = self;
        let progress = writer.advance(cx, &retry, |slices| {
            socket.borrow_mut().write_some(&retry, slices, random)
        });
        let lost = self.writer.subscriber().dropped() - self.record.dropped;
        assert!(
            lost == 0 || was_laggard,
            "one that keeps up lost {lost} messages"
        );
        self.record.dropped += lost;
        match progress {
            Ok(chat_hub::Progress::CaughtUp | chat_hub::Progress::Yielded) => Poll::Pending,
            Ok(chat_hub::Progress::Stalled) => {
                self.record.stalls += 1;
                Poll::Pending
            }
            Ok(chat_hub::Progress::Ended) => Poll::Ready(()),
            Err(error) => {
                let is_disconnected = self.writer.subscriber().is_disconnected();
                assert!(is_disconnected, "{error}");
                Poll::Ready(())
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut record = mem::take(&mut self.record);
        // What has been let go unread is lost when it leaves.
        self.writer.end();
        let subscriber = self.writer.subscriber();
        record.dropped = subscriber.dropped();
        record.end = subscriber.position().message_pos();
        record.is_disconnected = subscriber.is_disconnected();
        record.socket = Rc::clone(&self.socket);
        self.records.borrow_mut().push(record);
    }
}

/// What became of a subscription.
#[derive(Default)]
pub(super) struct Record {
    pub(super) room: Room,
    /// Number of the first message it could read, and of the one it would have read next.
    pub(super) joined: u64,
    pub(super) end: u64,
    pub(super) dropped: u64,
    /// Whether the hub ended it, and not its own leaving.
    pub(super) has_ended: bool,
    pub(super) is_disconnected: bool,
    pub(super) stalls: u64,
    pub(super) socket: Rc<RefCell<Socket>>,
}

impl Record {
    pub(super) fn check(&self, policy: Policy, log: &[Vec<u8>]) {
        let socket = self.socket.borrow();
        let (messages, rest) = Messages::split(&socket.received);
        let mut places = self.joined..self.end;
        for body in messages {
            let wire = [&[body.header()], body.as_bytes()].concat();
            let is_next = |place| log[to_len(place)] == wire;
            assert!(places.any(is_next), "messages are in the one order");
        }
        // Whoever left or was disconnected may have been in the middle of a message.
        let is_cut = !rest.is_empty();
        let delivered = messages.count() as u64 + u64::from(is_cut);
        assert_eq!(delivered, self.delivered(), "the counts add up");
        if self.has_ended && !self.is_disconnected {
            assert!(
                !is_cut && self.end == log.len() as u64,
                "it was served to the end"
            );
        }
        assert!(
            !self.is_disconnected || (policy == Policy::Disconnect && self.dropped > 0),
            "only for a loss is it disconnected"
        );
        if matches!(self.room, Room::Always) || !is_lossy(policy) {
            assert_eq!(self.dropped, 0, "a client that keeps up loses nothing");
        }
    }

    pub(super) fn delivered(&self) -> u64 {
        self.end - self.joined - self.dropped
    }
}

/// Tells whether a subscriber whose socket is full may lose messages.
pub(super) fn is_lossy(policy: Policy) -> bool {
    match policy {
        Policy::Oldest | Policy::Newest | Policy::Disconnect => true,
        Policy::Block => false,
        other => panic!("nobody said what {other:?} promises"),
    }
}

/// A socket's buffer, and its far end.
#[derive(Default)]
pub(super) struct Socket {
    pub(super) room: Room,
    pub(super) unread: Vec<u8>,
    pub(super) received: Vec<u8>,
    pub(super) writer: Option<Waker>,
}

/// How many bytes a socket takes before its far end reads, and when that reads.
#[derive(Clone, Copy, Default)]
pub(super) enum Room {
    #[default]
    Always,
    Sometimes(usize),
    /// When nobody else can go on.
    AtLast(usize),
}

impl Socket {
    fn room_len(&self) -> usize {
        match self.room {
            Room::Always => usize::MAX,
            Room::Sometimes(len) | Room::AtLast(len) => len - self.unread.len(),
        }
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.room_len() > 0 {
            return Poll::Ready(());
        }
        self.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Writes as much as there is room for, and sometimes less.
    fn write_some(
        &mut self,
        retry: &Waker,
        slices: &[IoSlice<'_>],
        random: &mut Random,
    ) -> io::Result<usize> {
        if self.poll_room(&mut Context::from_waker(retry)).is_pending() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let bytes: Vec<u8> = slices
            .iter()
            .flat_map(|slice| slice.iter().copied())
            .collect();
        let all = bytes.len().min(self.room_len());
        let len = if random.one_in(3) {
            1 + to_len(random.below(all as u64))
        } else {
            all
        };
        self.unread.extend_from_slice(&bytes[..len]);
        Ok(len)
    }

    pub(super) fn read(&mut self, len: usize) {
        self.received.extend(self.unread.drain(..len));
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }
}
