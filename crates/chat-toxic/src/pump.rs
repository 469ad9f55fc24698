//! One direction of a connection: a thread that reads from one socket and writes to another.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::course::Course;
use crate::toxics::End;

/// What both directions of a connection and its owner share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Whether nothing is forwarded for now, on any connection of the proxy. Nothing else is read after
    /// it, so any ordering does.
    is_held: Arc<AtomicBool>,
    /// Whether both directions end at once. Nothing else is read after it, so any ordering does.
    is_cut: AtomicBool,
    /// Whether the sending sides of the sockets have been ended: those of either, since the other
    /// direction of both ends by itself. Set before it happens, read after the consequence.
    has_ended: AtomicBool,
}

impl Shared {
    pub(crate) fn held_by(is_held: Arc<AtomicBool>) -> Self {
        Self {
            is_held,
            ..Self::default()
        }
    }

    pub(crate) fn cut(&self) {
        self.is_cut.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Relaxed)
    }
}

/// One direction.
#[derive(Debug)]
pub(crate) struct Pump {
    pub(crate) source: Arc<TcpStream>,
    pub(crate) sink: Arc<TcpStream>,
    pub(crate) course: Course,
    pub(crate) shared: Arc<Shared>,
    /// How many bytes have been forwarded; for those who look on.
    pub(crate) forwarded: Arc<AtomicU64>,
}

/// Why a direction ended before its sender ended it.
enum Stop {
    /// One of the sockets failed, or the direction ends by a reset: so both see one.
    Reset,
    /// The direction ends for its receiver alone.
    HalfClose,
}

impl From<io::Error> for Stop {
    fn from(_: io::Error) -> Self {
        Self::Reset
    }
}

impl Pump {
    /// Forwards until one of the sides or the course ends the direction.
    pub(crate) fn run(mut self) {
        match self.forward() {
            // An end is not heard of either while nothing is.
            Ok(()) if self.wait_while_held().is_ok() => self.end_sink(),
            Ok(()) => {}
            Err(Stop::HalfClose) => {
                self.end_sink();
                self.discard();
            }
            Err(Stop::Reset) => {
                self.shared.cut();
                for stream in [&self.source, &self.sink] {
                    // The last of the two directions closes it. Where this fails, it is gone.
                    let _ = SockRef::from(&**stream).set_linger(Some(Duration::ZERO));
                }
            }
        }
    }

    fn forward(&mut self) -> Result<(), Stop> {
        let mut buf = [0; BUF_LEN];
        loop {
            self.stop_at_end()?;
            let len = self.read(&mut buf)?;
            if len == 0 {
                return self.judge_end();
            }
            let delay = self.course.draw_delay();
            self.wait(delay)?;
            let mut rest = &buf[..len];
            while !rest.is_empty() {
                self.stop_at_end()?;
                let piece = self.course.next_piece(rest.len());
                self.wait(piece.wait)?;
                self.wait_while_held()?;
                let (now, later) = rest.split_at(piece.len);
                self.write(now)?;
                rest = later;
            }
        }
    }

    /// Tells an end from a reset that the other direction was told of: the system tells of it once,
    /// and then it looks like an end. But such a socket has no peer. Nor has one of which both
    /// sides have ended.
    fn judge_end(&self) -> Result<(), Stop> {
        if self.source.peer_addr().is_err() && !self.shared.has_ended.load(Ordering::SeqCst) {
            return Err(Stop::Reset);
        }
        Ok(())
    }

    fn stop_at_end(&self) -> Result<(), Stop> {
        self.check_cut()?;
        match self.course.end() {
            None | Some(End::Never) => Ok(()),
            Some(End::HalfClose { .. }) => Err(Stop::HalfClose),
            Some(End::Reset { .. }) => Err(Stop::Reset),
        }
    }

    fn read(&self, buf: &mut [u8]) -> Result<usize, Stop> {
        loop {
            match (&*self.source).read(buf) {
                Err(error) if is_retried(&error) => self.check_cut()?,
                done => return Ok(done?),
            }
        }
    }

    fn write(&self, mut bytes: &[u8]) -> Result<(), Stop> {
        while !bytes.is_empty() {
            match (&*self.sink).write(bytes) {
                Err(error) if is_retried(&error) => self.check_cut()?,
                written => {
                    let len = written?;
                    self.forwarded.fetch_add(len as u64, Ordering::Relaxed);
                    bytes = &bytes[len..];
                }
            }
        }
        Ok(())
    }

    fn wait(&self, time: Duration) -> Result<(), Stop> {
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.check_cut()?;
            thread::sleep(left.min(TICK));
        }
    }

    fn wait_while_held(&self) -> Result<(), Stop> {
        while self.shared.is_held.load(Ordering::Relaxed) {
            self.check_cut()?;
            thread::sleep(TICK);
        }
        Ok(())
    }

    fn check_cut(&self) -> Result<(), Stop> {
        if self.shared.is_cut() {
            return Err(Stop::Reset);
        }
        Ok(())
    }

    fn end_sink(&self) {
        self.shared.has_ended.store(true, Ordering::SeqCst);
        // A receiver that is gone needs no end.
        let _ = self.sink.shutdown(Shutdown::Write);
    }

    /// Reads what nobody gets, until its sender ends.
    fn discard(&self) {
        let mut buf = [0; BUF_LEN];
        while matches!(self.read(&mut buf), Ok(1..)) {}
    }
}

fn is_retried(error: &io::Error) -> bool {
    // A time limit of a socket is one or the other.
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

/// How often a direction that waits looks whether it is to end. A judgement.
pub(crate) const TICK: Duration = Duration::from_millis(20);

/// How many bytes a direction holds at most.
const BUF_LEN: usize = 16 << 10;
