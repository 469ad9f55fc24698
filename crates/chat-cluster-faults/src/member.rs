//! A client that talks and listens, and comes back when its server is gone.

use std::collections::{HashMap, HashSet};
use std::io::{ErrorKind, Read as _, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use chat_check::{MessageId, Record};
use chat_proto::Messages;

use crate::body::{Bodies, Read};

/// What one connection of a client saw.
#[derive(Clone, Debug, Default)]
pub struct Session {
    /// The number of its server.
    pub node: usize,
    /// What it sent and received, in this order.
    pub record: Record,
    /// What it sent.
    pub sent: Vec<MessageId>,
    /// Whether it ended as a client is owed that ends its sending side: by the server, on a message
    /// boundary.
    pub is_whole: bool,
}

/// What all members of a crowd share. Nothing is read on the strength of a flag but the flag, so any
/// ordering does.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) bodies: Bodies,
    /// How many messages have been sent.
    pub(crate) sent_count: AtomicU32,
    phase: AtomicU8,
    /// The last word of each member, by its number. One whose server ends has another one when it is back.
    finals: Mutex<HashMap<usize, MessageId>>,
    pub(crate) member_count: usize,
    pub(crate) start: Instant,
}

/// What the members of a crowd do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// They talk.
    Talk,
    /// They wait for their own messages.
    Settle,
    /// They say a last word, and leave when they have had that of everybody. Those who come back from then
    /// on have missed some, and leave when they have had their own.
    Leave,
    /// They leave at once.
    Over,
}

impl Room {
    pub(crate) fn new(crowd: u64, member_count: usize) -> Self {
        Self {
            bodies: Bodies { crowd },
            sent_count: AtomicU32::new(0),
            phase: AtomicU8::new(0),
            finals: Mutex::default(),
            member_count,
            start: Instant::now(),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Talk,
            1 => Phase::Settle,
            2 => Phase::Leave,
            _ => Phase::Over,
        }
    }

    pub(crate) fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    fn finals(&self) -> std::sync::MutexGuard<'_, HashMap<usize, MessageId>> {
        let finals = self.finals.lock();
        // Each is added by one call, so a panic elsewhere does not spoil it.
        finals.unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// What others see of a member.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    /// How many of its own messages came back.
    pub(crate) echo_count: AtomicU64,
    /// Whether it is connected and has all of its own messages.
    pub(crate) is_settled: AtomicBool,
    /// When the last message arrived, in microseconds.
    arrived_us: AtomicU64,
    /// The longest time between two arrivals, in microseconds.
    silence_us: AtomicU64,
}

impl Pulse {
    /// Returns the longest silence since this was asked last; one that lasts counts until now.
    pub(crate) fn take_silence(&self, room: &Room) -> Duration {
        let lasting = room.now_us() - self.arrived_us.load(Ordering::Relaxed).min(room.now_us());
        let longest = self.silence_us.swap(0, Ordering::Relaxed);
        Duration::from_micros(longest.max(lasting))
    }

    fn note_arrival(&self, room: &Room) {
        let now = room.now_us();
        let before = self.arrived_us.swap(now, Ordering::Relaxed);
        self.silence_us
            .fetch_max(now.saturating_sub(before), Ordering::Relaxed);
    }
}

/// Takes part until it may leave; returns what its connections saw.
pub(crate) fn take_part(
    room: &Room,
    pulse: &Pulse,
    member: usize,
    (node, addr): (usize, SocketAddr),
) -> Vec<Session> {
    let mut sessions: Vec<Session> = Vec::new();
    while room.phase() != Phase::Over {
        let Ok(stream) = TcpStream::connect_timeout(&addr, CONNECT_TIMEOUT) else {
            thread::sleep(TICK);
            continue;
        };
        let mut visit = Visit::new(room, pulse, member, node);
        // How a connection fails says nothing: its server is gone.
        let ended = visit.run(&stream);
        visit.session.is_whole = ended.is_ok_and(|is_whole| is_whole);
        pulse.is_settled.store(false, Ordering::Relaxed);
        let is_over = visit.session.is_whole;
        sessions.push(visit.session);
        if is_over {
            break;
        }
    }
    sessions
}

/// A connection at work.
struct Visit<'a> {
    room: &'a Room,
    pulse: &'a Pulse,
    /// The number of its member.
    member: usize,
    session: Session,
    /// What it sent and has not got back.
    open: HashSet<MessageId>,
    /// Whether it was served before anybody said a last word, so that it misses none.
    is_early: bool,
    /// What it has got since then.
    finals: HashSet<MessageId>,
    has_said_final: bool,
    has_ended: bool,
    next_at: Instant,
    held: Vec<u8>,
}

impl<'a> Visit<'a> {
    fn new(room: &'a Room, pulse: &'a Pulse, member: usize, node: usize) -> Self {
        Self {
            room,
            pulse,
            member,
            session: Session {
                node,
                ..Session::default()
            },
            open: HashSet::new(),
            is_early: false,
            finals: HashSet::new(),
            has_said_final: false,
            has_ended: false,
            next_at: Instant::now(),
            held: Vec::new(),
        }
    }

    /// Talks and listens until the connection ends; tells whether it ended as it should.
    fn run(&mut self, mut stream: &TcpStream) -> std::io::Result<bool> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TICK))?;
        stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
        let mut buf = vec![0; READ_LEN];
        loop {
            self.act(stream)?;
            match stream.read(&mut buf) {
                Ok(0) => return Ok(self.has_ended && self.held.is_empty()),
                Ok(len) => self.take(&buf[..len]),
                Err(error) if is_retried(error.kind()) => {}
                Err(error) => return Err(error),
            }
            if self.room.phase() == Phase::Over {
                return Ok(false);
            }
        }
    }

    /// Does what the phase has it do.
    fn act(&mut self, stream: &TcpStream) -> std::io::Result<()> {
        match self.room.phase() {
            Phase::Talk => {
                let now = Instant::now();
                if now >= self.next_at && self.open.len() < WINDOW {
                    self.next_at = now + PAUSE;
                    self.say(stream)?;
                }
            }
            Phase::Settle => {
                let is_settled = self.open.is_empty() && !self.session.sent.is_empty();
                self.pulse.is_settled.store(is_settled, Ordering::Relaxed);
                if self.session.sent.is_empty() {
                    // It has come back just now, and is not known to be served.
                    self.say(stream)?;
                }
            }
            Phase::Leave if !self.has_said_final => {
                self.has_said_final = true;
                let id = self.say(stream)?;
                self.room.finals().insert(self.member, id);
            }
            Phase::Leave if !self.has_ended && self.may_leave() => {
                self.has_ended = true;
                stream.shutdown(Shutdown::Write)?;
            }
            Phase::Leave | Phase::Over => {}
        }
        Ok(())
    }

    fn may_leave(&self) -> bool {
        if !self.is_early {
            return self.open.is_empty();
        }
        let finals = self.room.finals();
        let has_all = finals.values().all(|it| self.finals.contains(it));
        finals.len() == self.room.member_count && has_all
    }

    fn say(&mut self, mut stream: &TcpStream) -> std::io::Result<MessageId> {
        let number = self.room.sent_count.fetch_add(1, Ordering::Relaxed);
        let id = MessageId::new(number).map_err(std::io::Error::other)?;
        let body = self.room.bodies.body(number);
        let mut wire = vec![u8::try_from(body.len()).map_err(std::io::Error::other)?];
        wire.extend_from_slice(&body);
        self.session.record.sent(id);
        self.session.sent.push(id);
        self.open.insert(id);
        stream.write_all(&wire)?;
        Ok(id)
    }

    fn take(&mut self, bytes: &[u8]) {
        self.pulse.note_arrival(self.room);
        self.held.extend_from_slice(bytes);
        let held = std::mem::take(&mut self.held);
        let (messages, rest) = Messages::split(&held);
        // It is read after the bytes that tell of it have come.
        let sent_count = self.room.sent_count.load(Ordering::SeqCst);
        for body in messages.iter() {
            self.take_body(self.room.bodies.read(body.as_bytes(), sent_count));
        }
        self.held = rest.to_vec();
    }

    fn take_body(&mut self, read: Read) {
        let record = &mut self.session.record;
        match read {
            Read::Message(id) => {
                record.received(id);
                let is_leaving = self.room.phase() >= Phase::Leave;
                if self.open.remove(&id) {
                    self.pulse.echo_count.fetch_add(1, Ordering::Relaxed);
                    self.is_early |= !is_leaving;
                }
                if is_leaving {
                    self.finals.insert(id);
                }
            }
            Read::Corrupt(id) => record.received_corrupt(id),
            Read::Phantom => record.received_phantom(),
        }
    }
}

fn is_retried(kind: ErrorKind) -> bool {
    // A time limit of a socket is one or the other.
    matches!(
        kind,
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

/// How long a member waits for something to arrive before it looks what else there is to do.
const TICK: Duration = Duration::from_millis(5);

/// How long a member pauses between messages. A judgement: hundreds a second are under way in any fault.
const PAUSE: Duration = Duration::from_millis(10);

/// How many messages of a member may be under way. A judgement: they fit into any socket's buffers.
const WINDOW: usize = 100;

/// How long a write may take; what is under way always fits.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// How long connecting may take: a server that is frozen accepts none.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How many bytes are read at a time.
const READ_LEN: usize = 16 << 10;
