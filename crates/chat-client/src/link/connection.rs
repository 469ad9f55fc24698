//! One connection: reading and writing until it ends.

use std::io::{self, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use chat_proto::blocking::Reader;
use chat_proto::{Messages, ReadError};

use super::shared::{Phase, Shared, State};
use super::{Event, LinkError, Received};
use crate::{Echo, Stream};

/// The socket of a connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
}

impl Connection {
    pub(super) fn new(stream: Stream) -> Self {
        // Options only make a dead connection known earlier, and let lost messages be told of while
        // nothing arrives. Where they fail, the connection is gone already, which reading finds.
        let _ = stream.set_read_timeout(Some(TICK));
        let socket = stream.socket();
        let _ = rustix::net::sockopt::set_socket_keepalive(socket, true);
        let _ = rustix::net::sockopt::set_tcp_keepidle(socket, KEEPALIVE);
        let _ = rustix::net::sockopt::set_tcp_keepintvl(socket, KEEPALIVE / 3);
        let _ = rustix::net::sockopt::set_tcp_keepcnt(socket, 3);
        Self { stream }
    }

    /// Ends the connection, which both sides of it find out.
    pub(super) fn break_off(&self) {
        self.stream.break_off();
    }
}

impl Shared {
    /// Reads and writes until the connection ends, and says why it did.
    pub(super) fn run(
        &self,
        connection: &Arc<Connection>,
        on_event: &mut impl FnMut(Event<'_>),
    ) -> LinkError {
        thread::scope(|scope| {
            let writing = thread::Builder::new().name("link write".to_owned());
            if let Err(error) = writing.spawn_scoped(scope, || self.write(connection)) {
                return LinkError::Io(error);
            }
            let error = self.read(connection, on_event);
            connection.break_off();
            let mut state = self.lock();
            if matches!(state.phase, Phase::Connected(_)) {
                state.phase = Phase::Waiting;
            }
            // The writing side waits for this.
            self.changed.notify_all();
            error
        })
    }

    fn read(&self, connection: &Connection, on_event: &mut impl FnMut(Event<'_>)) -> LinkError {
        let mut reader = Reader::with_buf_len(&connection.stream, READ_LEN);
        let mut echoes = Vec::new();
        loop {
            let lost_count = match reader.next_messages() {
                Ok(messages) if messages.is_empty() => return LinkError::Closed,
                Ok(messages) => {
                    let arrived = Instant::now();
                    let lost_count = self.receive(messages, arrived, &mut echoes);
                    on_event(Event::Received(Received {
                        messages,
                        echoes: &echoes,
                        arrived,
                    }));
                    lost_count
                }
                Err(ReadError::Io(error)) if is_passing(&error) => {
                    let now = Instant::now();
                    let (age, lost_count) = {
                        let mut state = self.lock();
                        (state.overdue_age(now), state.lost_count(now))
                    };
                    if let Some(age) = age {
                        on_event(Event::Overdue { age });
                    }
                    lost_count
                }
                Err(ReadError::Io(error)) => return LinkError::Io(error),
                Err(ReadError::Unfinished(cause)) => return LinkError::Unfinished(cause),
            };
            if let Some(count) = lost_count {
                on_event(Event::Lost { count });
            }
        }
    }

    /// Finds one's own among received messages. Returns how many are known to be lost now.
    fn receive(
        &self,
        messages: Messages<'_>,
        now: Instant,
        echoes: &mut Vec<(usize, Echo)>,
    ) -> Option<u64> {
        echoes.clear();
        let mut state = self.lock();
        let outstanding = &mut state.outstanding;
        if outstanding.count() + outstanding.missing_count() == 0 {
            return None;
        }
        for (index, body) in messages.into_iter().enumerate() {
            if let Some(echo) = outstanding.receive(body) {
                echoes.push((index, echo));
            }
        }
        if !echoes.is_empty() {
            // Who waits for the last of them.
            self.changed.notify_all();
            state.is_overdue = false;
        }
        state.lost_count(now)
    }

    fn write(&self, connection: &Arc<Connection>) {
        let mut batch = Vec::new();
        loop {
            {
                let mut state = self.lock();
                loop {
                    match &state.phase {
                        Phase::Connected(current) if Arc::ptr_eq(current, connection) => {}
                        _ => return,
                    }
                    if !state.queue.is_empty() {
                        break;
                    }
                    state = self.wait(state, Duration::from_secs(60));
                }
                batch.clear();
                std::mem::swap(&mut batch, &mut state.queue);
            }
            if (&connection.stream).write_all(&batch).is_err() {
                // Reading finds it too, and says why.
                connection.break_off();
                return;
            }
        }
    }
}

impl State {
    /// Returns for how long the oldest message has been under way, if that is long and news.
    fn overdue_age(&mut self, now: Instant) -> Option<Duration> {
        let age = now.duration_since(self.outstanding.oldest_sent_at()?);
        let is_news = age >= OVERDUE && !self.is_overdue;
        self.is_overdue |= is_news;
        is_news.then_some(age)
    }

    /// Returns how many more messages are lost for certain. Others may have sent equal ones, so
    /// those that are missing get some time to come.
    fn lost_count(&mut self, now: Instant) -> Option<u64> {
        let missing_count = self.outstanding.missing_count();
        if missing_count <= self.told_count {
            self.told_count = missing_count;
            self.missing_since = None;
            return None;
        }
        let since = *self.missing_since.get_or_insert(now);
        if now.duration_since(since) < GRACE {
            return None;
        }
        let count = missing_count - self.told_count;
        self.told_count = missing_count;
        self.missing_since = None;
        Some(count)
    }
}

/// Tells whether reading may go on after an error.
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted)
}

/// How often to look whether something was lost while nothing arrives. A judgement.
const TICK: Duration = Duration::from_millis(500);

/// How long a message that was passed over may still come. A judgement.
const GRACE: Duration = Duration::from_secs(2);

/// From when on a message is overdue. A judgement: servers answer in milliseconds, networks in less
/// than a second.
const OVERDUE: Duration = Duration::from_secs(5);

/// How long a silent connection is believed to be alive before it is tried. A judgement.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// How many bytes are read at once. A judgement: some thousand messages, which the load of the
/// reading thread shows no more.
const READ_LEN: usize = 128 * 1024;
