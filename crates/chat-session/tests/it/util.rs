use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use chat_hub::{Clock, Config, Hub};
use chat_proto::{Body, MESSAGE_LEN_MAX, Messages};
use chat_session::{Session, SessionError, Summary};

use crate::tasks::{Order, Tasks};
use crate::wire::{Stream, Wire};

/// Sessions on one thread, polled until none of them can go on.
pub(crate) struct Server {
    pub(crate) hub: Hub,
    clock: Option<Clock>,
    tasks: Tasks,
}

impl Server {
    /// A server without a clock, whose log has `capacity` bytes.
    pub(crate) fn new(capacity: usize) -> Self {
        Self::of(Config::default().with_capacity(capacity), Order::Fifo)
    }

    /// A server without a clock.
    pub(crate) fn of(config: Config, order: Order) -> Self {
        Self {
            hub: config.build().unwrap(),
            clock: None,
            tasks: Tasks::new(order),
        }
    }

    /// A server with a clock that the test [ticks](Self::tick), whose log has `capacity` bytes.
    pub(crate) fn with_clock(capacity: usize) -> Self {
        let config = Config::default().with_capacity(capacity);
        let (hub, mut clock) = config.build_with_clock().unwrap();
        let due = clock.poll_due(&mut Context::from_waker(Waker::noop()));
        assert!(due.is_pending(), "an idle hub needs no time");
        Self {
            hub,
            clock: Some(clock),
            tasks: Tasks::new(Order::Fifo),
        }
    }

    /// Connects a client whose socket takes any number of bytes.
    pub(crate) fn connect(&mut self) -> Client {
        self.connect_with(usize::MAX)
    }

    /// Connects a client whose socket takes `room` bytes before the client reads.
    pub(crate) fn connect_with(&mut self, room: usize) -> Client {
        let wire = Wire::with_room(room);
        let session = Session::new(Stream(Arc::clone(&wire)), &self.hub);
        self.serve(wire, session)
    }

    /// Has the session at the other end of a client's wire polled.
    pub(crate) fn serve(
        &mut self,
        wire: Arc<Mutex<Wire>>,
        session: impl Future<Output = Result<Summary, SessionError>> + 'static,
    ) -> Client {
        let end = Rc::new(RefCell::new(None));
        let session = {
            let end = Rc::clone(&end);
            async move {
                let ended = session.await;
                end.borrow_mut().replace(ended);
            }
        };
        let task = self.tasks.spawn(session);
        Client { wire, task, end }
    }

    /// Polls the sessions until they all wait.
    #[track_caller]
    pub(crate) fn run(&mut self) {
        let mut step_count = 0;
        while self.tasks.step().is_some() {
            step_count += 1;
            assert!(step_count < STEPS_MAX, "the sessions never come to rest");
        }
    }

    /// Polls one session; returns the number of its task.
    pub(crate) fn step(&mut self) -> Option<usize> {
        self.tasks.step()
    }

    /// Returns the number of the task that is polled next.
    pub(crate) fn next(&self) -> Option<usize> {
        self.tasks.next()
    }

    /// Lets one step of the clock go by, if it is due; tells whether it was.
    pub(crate) fn tick(&mut self) -> bool {
        let clock = self.clock.as_mut().expect("the server has a clock");
        let due = clock.poll_due(&mut Context::from_waker(Waker::noop()));
        let is_due = matches!(due, Poll::Ready(Some(_)));
        if is_due {
            clock.tick();
        }
        is_due
    }
}

/// A client: the far end of a session's stream.
pub(crate) struct Client {
    wire: Arc<Mutex<Wire>>,
    /// The number of the session's task.
    pub(crate) task: usize,
    end: Rc<RefCell<Option<Result<Summary, SessionError>>>>,
}

impl Client {
    /// Puts bytes on their way to the session.
    pub(crate) fn send(&self, bytes: &[u8]) {
        let mut wire = self.wire();
        wire.incoming.extend(bytes);
        wire.wake_reader();
    }

    /// Sends a message again and again, without end.
    pub(crate) fn flood(&self, message: &[u8]) {
        let mut wire = self.wire();
        wire.flood = message.repeat(256);
        wire.wake_reader();
    }

    /// Ends the sending side.
    pub(crate) fn end_sending(&self) {
        let mut wire = self.wire();
        wire.is_ended = true;
        wire.wake_reader();
    }

    /// Makes every further read and write of the session fail.
    pub(crate) fn reset(&self) {
        let mut wire = self.wire();
        wire.is_reset = true;
        wire.wake_reader();
        wire.wake_writer();
    }

    /// Takes everything that was written, and gives the socket room for `room` bytes more.
    pub(crate) fn receive_with(&self, room: usize) -> Vec<u8> {
        let mut wire = self.wire();
        wire.room = room;
        wire.wake_writer();
        std::mem::take(&mut wire.outgoing)
    }

    /// Takes everything that was written, without making room for more.
    pub(crate) fn receive(&self) -> Vec<u8> {
        std::mem::take(&mut self.wire().outgoing)
    }

    /// Makes room in the socket, though the system has not told the session yet.
    pub(crate) fn make_room_unnoticed(&self) {
        self.wire().room = usize::MAX;
    }

    /// What the session did with the stream.
    pub(crate) fn wire(&self) -> MutexGuard<'_, Wire> {
        self.wire.lock().unwrap()
    }

    /// Tells whether the session has ended, and nobody was told how.
    pub(crate) fn has_ended(&self) -> bool {
        self.end.borrow().is_some()
    }

    /// How the session ended, if it has. Tells it once.
    pub(crate) fn end(&mut self) -> Option<Result<Summary, SessionError>> {
        self.end.borrow_mut().take()
    }
}

/// Checks what a session did: how many messages were published, delivered and dropped.
#[track_caller]
pub(crate) fn check_counts(summary: Summary, expected: [u64; 3]) {
    let counts = [summary.published, summary.delivered, summary.dropped];
    assert_eq!(counts, expected, "published, delivered, dropped");
}

/// Returns a message whose body is `len` bytes and begins with as much of `number` as fits.
pub(crate) fn message(number: u64, len: usize) -> Vec<u8> {
    let mut body = [0; MESSAGE_LEN_MAX];
    body[..8].copy_from_slice(&number.to_le_bytes());
    let mut wire = [0; MESSAGE_LEN_MAX];
    let len = Body::new(&body[..len]).unwrap().encode(&mut wire).unwrap();
    wire[..len].to_vec()
}

/// Returns the messages with these numbers, of 100 bytes each.
pub(crate) fn messages(numbers: impl IntoIterator<Item = u64>) -> Vec<u8> {
    let numbers = numbers.into_iter();
    numbers.flat_map(|number| message(number, 99)).collect()
}

/// Returns the numbers of whole messages made by [`message`].
#[track_caller]
pub(crate) fn numbers(wire: &[u8]) -> Vec<u64> {
    let (messages, rest) = Messages::split(wire);
    let rest_len = rest.len();
    assert!(rest.is_empty(), "{rest_len} bytes of an unfinished message");
    messages
        .iter()
        .map(|body| u64::from_le_bytes(body.as_bytes()[..8].try_into().unwrap()))
        .collect()
}

/// How many times sessions are polled at most until they rest.
const STEPS_MAX: usize = 1_000_000;
