//! The ring: requests to the kernel and what has become of them. All unsafe code of this server is here,
//! and nothing that is not here can make it unsound.

#![allow(
    unsafe_code,
    reason = "the kernel reads and writes memory that only we know is kept"
)]

mod buffers;

use std::io::{self, ErrorKind};
use std::mem::{self, ManuallyDrop};
use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd, FromRawFd};
use std::time::Duration;

use bytes::Bytes;
use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};

use self::buffers::Buffers;
pub(crate) use self::buffers::Received;

/// Requests to the kernel, which are handed over together by one system call, and their completions.
///
/// Invariant: the kernel has only memory that is never freed before it has completed the request.
pub(crate) struct Ring {
    ring: IoUring,
    /// What the kernel receives into. Never freed.
    buffers: Buffers,
    /// What the kernel sends, by the key of the client. What it has when the ring is dropped, or there
    /// is a panic, is not freed: the kernel may still read it.
    sending: ManuallyDrop<Vec<Bytes>>,
}

/// What has become of a request.
pub(crate) enum Event {
    /// There is a new connection, or there is none for want of something.
    Accepted(io::Result<TcpStream>),
    /// The kernel accepts no more until it is asked to.
    AcceptEnded,
    /// Bytes have arrived, or none will: without a buffer it is the end of the stream.
    Received(usize, io::Result<Option<Received>>),
    /// The kernel receives no more for this key until it is asked to.
    ReceiveEnded(usize),
    /// All bytes were sent; or some were, and these are left; or it failed.
    Sent(usize, io::Result<Bytes>),
}

impl Ring {
    /// Makes a ring for the thread that calls.
    pub(crate) fn new() -> io::Result<Self> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            // Completions are taken in when this thread waits, and interrupt nothing.
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_cqsize(COMPLETIONS_MAX)
            .build(REQUESTS_MAX)?;
        let buffers = Buffers::register(&ring.submitter())?;
        Ok(Self {
            ring,
            buffers,
            sending: ManuallyDrop::default(),
        })
    }

    /// Accepts connections until it is told to stop, or fails.
    pub(crate) fn accept(&mut self, listener: &impl AsFd) -> io::Result<()> {
        let accept = opcode::AcceptMulti::new(fd(listener)).build();
        self.push(accept, Kind::Accept, 0)
    }

    /// Receives into the buffers of the ring, each time that something arrives, until the stream ends,
    /// it is told to stop, or there is no buffer.
    pub(crate) fn receive(&mut self, key: usize, stream: &impl AsFd) -> io::Result<()> {
        let receive = opcode::RecvMulti::new(fd(stream), Buffers::GROUP).build();
        self.push(receive, Kind::Receive, key)
    }

    /// Sends bytes. A client sends one thing after another.
    pub(crate) fn send(&mut self, key: usize, stream: &impl AsFd, bytes: Bytes) -> io::Result<()> {
        if self.sending.len() <= key {
            self.sending.resize(key + 1, Bytes::new());
        }
        assert!(self.sending[key].is_empty(), "the one before is not done");
        let len = u32::try_from(bytes.len()).expect("it is a part of the log");
        let send = opcode::Send::new(fd(stream), bytes.as_ptr(), len).build();
        // From here until it is completed the bytes stay there, and bytes do not move with their handle.
        self.sending[key] = bytes;
        self.push(send, Kind::Send, key)
    }

    /// Stops accepting. What is accepted already still comes.
    pub(crate) fn stop_accepting(&mut self) -> io::Result<()> {
        let cancel = opcode::AsyncCancel::new(Kind::Accept.user_data(0)).build();
        self.push(cancel, Kind::Cancel, 0)
    }

    /// Stops receiving. What was received already still comes.
    pub(crate) fn stop_receiving(&mut self, key: usize) -> io::Result<()> {
        let cancel = opcode::AsyncCancel::new(Kind::Receive.user_data(key)).build();
        self.push(cancel, Kind::Cancel, key)
    }

    /// Hands all requests over, and waits until one is completed or the time is up.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let submitted = match timeout {
            Some(Duration::ZERO) => self.ring.submit(),
            Some(timeout) => {
                let timeout = Timespec::from(timeout);
                let args = SubmitArgs::new().timespec(&timeout);
                self.ring.submitter().submit_with_args(1, &args)
            }
            None => self.ring.submit_and_wait(1),
        };
        match submitted {
            Err(error) if !is_passing(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// Takes all completions that are there.
    pub(crate) fn events(&mut self, events: &mut Vec<Event>) {
        let Self { ring, sending, .. } = self;
        for entry in ring.completion() {
            let key = usize::try_from(entry.user_data() >> Kind::BITS).expect("it was one");
            let result = match entry.result() {
                negative @ ..0 => Err(io::Error::from_raw_os_error(-negative)),
                result => Ok(result.unsigned_abs()),
            };
            let has_ended = !cqueue::more(entry.flags());
            match Kind::of(entry.user_data()) {
                Kind::Accept => {
                    // Accepting, too, can be short of buffers, for a socket. Then it is asked again after a pause.
                    if !has_paused(&result) {
                        events.push(Event::Accepted(result.map(stream)));
                    }
                    if has_ended {
                        events.push(Event::AcceptEnded);
                    }
                }
                Kind::Receive => {
                    let buffer = cqueue::buffer_select(entry.flags());
                    if !has_paused(&result) {
                        let received = result.map(|len| Some(Received::new(buffer?, len)));
                        events.push(Event::Received(key, received));
                    }
                    if has_ended {
                        events.push(Event::ReceiveEnded(key));
                    }
                }
                Kind::Send => {
                    let bytes = mem::take(&mut sending[key]);
                    let rest = result.map(|len| bytes.slice(len as usize..));
                    events.push(Event::Sent(key, rest));
                }
                Kind::Cancel => {}
            }
        }
    }

    /// Returns bytes that were received.
    pub(crate) fn bytes(&self, received: &Received) -> &[u8] {
        self.buffers.bytes(received)
    }

    /// Gives a buffer back to the kernel.
    pub(crate) fn give_back(&mut self, received: Received) {
        self.buffers.give_back(received);
    }

    fn push(&mut self, request: squeue::Entry, kind: Kind, key: usize) -> io::Result<()> {
        let request = request.user_data(kind.user_data(key));
        while self.ring.submission().is_full() {
            match self.ring.submit() {
                Err(error) if !is_passing(&error) => return Err(error),
                _ => {}
            }
        }
        // SAFETY: A request has a descriptor, whose file the kernel holds, and at most the address of
        // bytes in `sending`. Those stay there until the request is completed, and for ever if that is
        // never seen. The queue has room.
        let pushed = unsafe { self.ring.submission().push(&request) };
        pushed.map_err(|_| io::Error::from(ErrorKind::OutOfMemory))
    }
}

/// What a request is. It comes back with the completion, beside the key of the client.
#[derive(Clone, Copy)]
enum Kind {
    Accept,
    Receive,
    Send,
    Cancel,
}

impl Kind {
    const BITS: u32 = 2;

    fn of(user_data: u64) -> Self {
        [Self::Accept, Self::Receive, Self::Send, Self::Cancel][(user_data & 0b11) as usize]
    }

    fn user_data(self, key: usize) -> u64 {
        (key as u64) << Self::BITS | self as u64
    }
}

/// The stream of a descriptor that an accept has brought.
fn stream(fd: u32) -> TcpStream {
    let fd = fd.try_into().expect("it is a descriptor");
    // SAFETY: The kernel has made it for this completion, which is seen once, so nobody else has it.
    unsafe { TcpStream::from_raw_fd(fd) }
}

fn fd(file: &impl AsFd) -> Fd {
    Fd(file.as_fd().as_raw_fd())
}

/// Whether it only has to be asked again, if that is wanted: it was told to stop, or found no free buffer.
fn has_paused<T>(result: &io::Result<T>) -> bool {
    let error = result.as_ref().err();
    matches!(
        error.and_then(io::Error::raw_os_error),
        Some(ECANCELED | ENOBUFS)
    )
}

/// Whether a wait that failed so is to be repeated: the time is up, a signal came, or completions have
/// to be taken first.
fn is_passing(error: &io::Error) -> bool {
    use ErrorKind::{Interrupted, ResourceBusy, TimedOut};
    matches!(error.kind(), Interrupted | ResourceBusy | TimedOut)
        || error.raw_os_error() == Some(ETIME)
}

/// Numbers of errors that the standard library has no names for, on Linux.
const ETIME: i32 = 62;
const ENOBUFS: i32 = 105;
const ECANCELED: i32 = 125;

/// How many requests are handed over at once. A judgement: one for each of many clients.
const REQUESTS_MAX: u32 = 1024;

/// How many completions are there at once before the kernel has to put them elsewhere. A judgement.
const COMPLETIONS_MAX: u32 = 8192;
