//! One client of a room, at work.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use chat_check::Record;
use chat_proto::Messages;
use chat_toxic::Link;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::body::{Bodies, Seen};
use crate::schedule::{Leave, Member, Reading, Stay};

/// What a client saw.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What it sent and received.
    pub record: Record,
    /// How many messages without a body it received.
    pub empty_count: u64,
    /// How many messages of other rooms it received.
    pub foreign_count: u64,
    /// How its connection ended.
    pub ended: Ended,
}

/// How a client's connection ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Ended {
    /// The client left by itself, or never read.
    #[default]
    Left,
    /// It never got a connection.
    Refused(String),
    /// The server closed it on a message boundary.
    Closed,
    /// It was closed so many bytes inside a message.
    Inside(usize),
    /// It was reset.
    Reset,
    /// It was still open when the time was over.
    Open,
}

impl Ended {
    fn or_reset(self) -> Self {
        match self {
            Self::Closed | Self::Inside(_) => Self::Reset,
            other => other,
        }
    }
}

/// What all members of a room share.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) addr: SocketAddr,
    pub(crate) bodies: Bodies,
    /// How many members have not sent everything. Nothing else is read after it, so any ordering
    /// does.
    pub(crate) busy_count: AtomicUsize,
    /// How many are there, or are still to come.
    pub(crate) present_count: AtomicUsize,
    /// When everything must be over.
    pub(crate) deadline: Instant,
}

impl Room {
    /// Waits until a count has come down to that of the witness.
    fn wait_for(&self, count: &AtomicUsize) {
        while count.load(Ordering::Relaxed) > 1 && !self.is_late() {
            thread::sleep(PATIENCE_TICK);
        }
    }

    fn is_late(&self) -> bool {
        Instant::now() >= self.deadline
    }
}

/// A member of a room and what it has seen.
#[derive(Debug)]
pub(crate) struct Client<'a> {
    pub(crate) room: &'a Room,
    pub(crate) member: &'a Member,
    pub(crate) number: u16,
    /// What it sent and received, by both of its threads.
    seen: Mutex<Inbox>,
    has_arrived: Condvar,
    /// Whether it reads no more. Nothing else is read after it, so any ordering does.
    has_left: AtomicBool,
}

#[derive(Debug, Default)]
struct Inbox {
    report: Report,
    arrived_count: u64,
}

impl<'a> Client<'a> {
    pub(crate) fn new(room: &'a Room, member: &'a Member, number: u16) -> Self {
        Self {
            room,
            member,
            number,
            seen: Mutex::default(),
            has_arrived: Condvar::new(),
            has_left: AtomicBool::new(false),
        }
    }

    /// Does what the member does; returns what it saw.
    pub(crate) fn run(&self) -> Report {
        thread::sleep(self.member.joins_after);
        let ended = match self.connect() {
            Ok((stream, link)) => self.take_part(stream, link),
            Err(error) => {
                self.note_sent();
                Ended::Refused(error.to_string())
            }
        };
        self.room.present_count.fetch_sub(1, Ordering::Relaxed);
        let mut report = std::mem::take(&mut self.inbox().report);
        report.ended = ended;
        report
    }

    fn take_part(&self, stream: TcpStream, link: Option<Link>) -> Ended {
        let ended = thread::scope(|scope| {
            let reading = scope.spawn(|| self.read(&stream));
            let sent = self.send(&stream);
            self.note_sent();
            self.leave(&stream);
            let ended = reading.join().expect("reading does not panic");
            match sent {
                // The system tells of a reset once, whoever asks: those who read see an end then.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => ended.or_reset(),
                _ => ended,
            }
        });
        drop(stream);
        if let Some(link) = link.filter(|_| self.member.leave != Leave::Reset) {
            self.finish(&link);
        }
        ended
    }

    /// Notes that it sends no more. The witness is not waited for.
    fn note_sent(&self) {
        if self.member.stay != Stay::UntilAllGone {
            self.room.busy_count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Waits until at least one message has come back, or the time is over.
    pub(crate) fn wait_for_first(&self) {
        let mut inbox = self.inbox();
        while inbox.arrived_count == 0 && !self.room.is_late() {
            inbox = self.wait(inbox, TICK);
        }
    }

    fn connect(&self) -> io::Result<(TcpStream, Option<Link>)> {
        let (stream, link) = match &self.member.plan {
            Some(plan) => {
                let (stream, link) = chat_toxic::link(self.room.addr, plan)?;
                (stream, Some(link))
            }
            None => (self.connect_straight()?, None),
        };
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TICK))?;
        stream.set_write_timeout(Some(TICK))?;
        Ok((stream, link))
    }

    fn connect_straight(&self) -> io::Result<TcpStream> {
        let domain = Domain::for_address(self.room.addr);
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        if let Some(len) = self.member.recv_buf_len {
            socket.set_recv_buffer_size(len)?;
        }
        socket.connect_timeout(&self.room.addr.into(), CONNECT_TIMEOUT)?;
        Ok(socket.into())
    }

    /// Sends everything there is to send.
    fn send(&self, stream: &TcpStream) -> io::Result<()> {
        let empty_count = self.member.empty_count as usize;
        self.write(stream, &vec![0; empty_count])?;
        let mut number = 0;
        while number < self.member.send_count {
            let end = self.member.send_count.min(number + self.member.burst_len);
            if end == self.member.send_count && self.member.stay == Stay::UntilAllGone {
                self.room.wait_for(&self.room.present_count);
            }
            let burst = self.note_burst(number..end);
            self.write(stream, &burst)?;
            number = end;
            if self.member.is_answering {
                self.wait_for_next();
            }
            if !self.member.pause.is_zero() {
                thread::sleep(self.member.pause);
            }
        }
        if let Leave::Inside(len) = self.member.leave {
            // The header of the longest message, and a part of its body.
            self.write(stream, &vec![255; len])?;
        }
        Ok(())
    }

    /// Makes a burst of messages and records that they are sent.
    fn note_burst(&self, numbers: std::ops::Range<u32>) -> Vec<u8> {
        let mut burst = Vec::new();
        let mut inbox = self.inbox();
        for number in numbers {
            let body = self.room.bodies.body(self.number, number);
            burst.push(u8::try_from(body.len()).expect("a body has 255 bytes at most"));
            burst.extend_from_slice(&body);
            let id = self.room.bodies.id(self.number.into(), number);
            inbox.report.record.sent(id.expect("it is one of its own"));
        }
        burst
    }

    /// Waits for the next message to arrive, but not for long: there may be none.
    fn wait_for_next(&self) {
        let mut inbox = self.inbox();
        let (before, start) = (inbox.arrived_count, Instant::now());
        while inbox.arrived_count == before && start.elapsed() < ANSWER_TIMEOUT {
            inbox = self.wait(inbox, ANSWER_TIMEOUT);
        }
    }

    fn write(&self, mut stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match stream.write(bytes) {
                Ok(len) => bytes = &bytes[len..],
                Err(error) if is_retried(&error) && !self.room.is_late() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn leave(&self, stream: &TcpStream) {
        if self.member.stay == Stay::UntilAllSent {
            self.room.wait_for(&self.room.busy_count);
        }
        // Where one of these fails, the connection is gone.
        let _ = match self.member.leave {
            Leave::HalfClose | Leave::Inside(_) => stream.shutdown(Shutdown::Write),
            Leave::Close => Ok(()),
            Leave::Reset => SockRef::from(stream).set_linger(Some(Duration::ZERO)),
        };
        // Shutting down what is read would drain it with a window that is never opened again, and
        // the system of the server would ask for a minute whether it is.
        let is_reading = matches!(self.member.leave, Leave::HalfClose | Leave::Inside(_));
        self.has_left.store(!is_reading, Ordering::Relaxed);
    }

    /// Reads until the connection ends.
    fn read(&self, mut stream: &TcpStream) -> Ended {
        match self.member.reading {
            Reading::Always => {}
            Reading::After(time) => thread::sleep(time),
            Reading::Never => return Ended::Left,
        }
        let mut buf = vec![0; READ_LEN];
        let mut held = Vec::new();
        loop {
            if self.has_left.load(Ordering::Relaxed) {
                return Ended::Left;
            }
            match stream.read(&mut buf) {
                Ok(0) if held.is_empty() => return Ended::Closed,
                Ok(0) => return Ended::Inside(held.len()),
                Ok(len) => {
                    held.extend_from_slice(&buf[..len]);
                    self.take(&mut held);
                }
                Err(error) if is_retried(&error) => {
                    if self.room.is_late() {
                        return Ended::Open;
                    }
                }
                Err(_) => return Ended::Reset,
            }
        }
    }

    /// Takes the whole messages out of what has been read.
    fn take(&self, held: &mut Vec<u8>) {
        let (messages, rest) = Messages::split(held);
        let rest_len = rest.len();
        let mut inbox = self.inbox();
        for body in messages.iter() {
            inbox.take(&self.room.bodies, body.as_bytes());
        }
        drop(inbox);
        self.has_arrived.notify_all();
        held.drain(..held.len() - rest_len);
    }

    /// Lets the proxy end by itself, so that it does not cut what is under way.
    fn finish(&self, link: &Link) {
        while !link.is_over() && !self.room.is_late() {
            thread::sleep(PATIENCE_TICK);
        }
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'b>(&self, inbox: MutexGuard<'b, Inbox>, time: Duration) -> MutexGuard<'b, Inbox> {
        let waited = self.has_arrived.wait_timeout(inbox, time);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Inbox {
    fn take(&mut self, bodies: &Bodies, body: &[u8]) {
        let report = &mut self.report;
        if body.is_empty() {
            report.empty_count += 1;
            return;
        }
        match bodies.read(body) {
            Seen::Message(id) => {
                report.record.received(id);
                self.arrived_count += 1;
            }
            Seen::Corrupt(id) => report.record.received_corrupt(id),
            Seen::Foreign => report.foreign_count += 1,
            Seen::Phantom => report.record.received_phantom(),
        }
    }
}

fn is_retried(error: &io::Error) -> bool {
    // A time limit of a socket is one or the other.
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

/// How often a client that waits looks whether the time is over. A judgement.
const TICK: Duration = Duration::from_millis(50);
const PATIENCE_TICK: Duration = Duration::from_millis(5);

/// How long to wait for something to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(100);

/// How long connecting may take; on a loopback it takes no time unless something hangs.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// How many bytes are read at a time.
const READ_LEN: usize = 16 << 10;
