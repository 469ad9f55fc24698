use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::task::{Context, Poll, Waker};

use chat_hub::{Config, Hub, Policy, Progress, WriteError, Writer, would_block};
use chat_proto::Messages;

use crate::util::{Woken, drain, hub, message, publish, run};

/// A stream, and what becomes of each write to it: so many bytes are taken, or an error. When there
/// is nothing more to say, it takes everything.
#[derive(Default)]
struct Stream {
    script: VecDeque<Result<usize, ErrorKind>>,
    received: Vec<u8>,
    /// How many slices and how many bytes each write had.
    writes: Vec<(usize, usize)>,
}

impl Stream {
    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let all: Vec<u8> = slices
            .iter()
            .flat_map(|slice| slice.iter().copied())
            .collect();
        self.writes.push((slices.len(), all.len()));
        let len = self.script.pop_front().unwrap_or(Ok(all.len()))?;
        self.received.extend(&all[..len]);
        Ok(len)
    }

    /// Has a writer write for a turn, of a task that nobody wakes.
    fn turn(&mut self, writer: &mut Writer) -> Progress {
        let mut cx = Context::from_waker(Waker::noop());
        let turn = writer.advance(&mut cx, Waker::noop(), |slices| self.write(slices));
        turn.expect("the stream does not fail")
    }
}

/// A blocking stream that calls `on_write` with what it is written.
struct Blocking<F>(F);

impl<F: FnMut(&[u8]) -> io::Result<()>> Write for Blocking<F> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (self.0)(buf)?;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Publishes 50 runs of 25 messages each. Each is a chunk of its own.
fn publish_chunks(hub: &Hub) -> Vec<u8> {
    let (mut publisher, mut quick) = (hub.publisher(), hub.subscribe());
    for start in (0..1250).step_by(25) {
        assert!(publish(&mut publisher, &run(start..start + 25, 99)).is_ready());
        drain(&mut quick);
    }
    run(0..1250, 99)
}

#[test]
fn a_stream_may_take_any_part_and_stall_at_any_time() {
    let hub = Hub::default();
    let mut writer = hub.subscribe().into_writer();
    assert!(publish(&mut hub.publisher(), &run(0..3, 99)).is_ready());
    let stall = Err(ErrorKind::WouldBlock);
    let interrupt = Err(ErrorKind::Interrupted);
    let mut stream = Stream::default();
    stream.script.extend([interrupt, Ok(150), interrupt, stall]);
    assert_eq!(stream.turn(&mut writer), Progress::Stalled);
    assert!(writer.is_stalled());
    assert_eq!((writer.written(), hub.stats().laggard_count), (150, 1));
    stream.script.extend([Ok(1), stall]);
    assert_eq!(stream.turn(&mut writer), Progress::Stalled);
    assert_eq!(writer.written(), 151);
    assert_eq!(stream.turn(&mut writer), Progress::CaughtUp);
    assert!(!writer.is_stalled());
    assert_eq!((writer.written(), hub.stats().laggard_count), (300, 0));
    assert_eq!(stream.received, run(0..3, 99));
}

#[test]
fn a_message_that_was_cut_can_be_finished_after_the_end() {
    for len in 0..=200 {
        let hub = Hub::default();
        let mut writer = hub.subscribe().into_writer();
        assert!(publish(&mut hub.publisher(), &run(0..3, 99)).is_ready());
        let stall = Err(ErrorKind::WouldBlock);
        let mut stream = Stream::default();
        if len > 0 {
            stream.script.push_back(Ok(len));
        }
        stream.script.push_back(stall);
        assert_eq!(stream.turn(&mut writer), Progress::Stalled);
        writer.end();
        let is_inside = len % 100 != 0;
        assert_eq!(writer.is_inside_message(), is_inside);
        if is_inside {
            stream
                .script
                .extend([stall, Ok(1), Err(ErrorKind::Interrupted)]);
            assert!(
                !writer
                    .finish_message(|slices| stream.write(slices))
                    .unwrap()
            );
        }
        assert!(
            writer
                .finish_message(|slices| stream.write(slices))
                .unwrap()
        );
        assert!(!writer.is_inside_message() && !writer.is_stalled());
        let whole_count = len.div_ceil(100);
        assert_eq!(stream.received, run(0..whole_count as u64, 99));
        assert_eq!(writer.written(), stream.received.len() as u64);
        assert_eq!(stream.turn(&mut writer), Progress::Ended);
    }
}

#[test]
fn a_stream_that_fails_cannot_be_finished() {
    let hub = Hub::default();
    let mut writer = hub.subscribe().into_writer();
    assert!(publish(&mut hub.publisher(), &run(0..3, 99)).is_ready());
    let mut stream = Stream::default();
    let stall = Err(ErrorKind::WouldBlock);
    stream
        .script
        .extend([Ok(1), stall, Ok(0), Err(ErrorKind::BrokenPipe)]);
    assert_eq!(stream.turn(&mut writer), Progress::Stalled);
    writer.end();
    for kind in [ErrorKind::WriteZero, ErrorKind::BrokenPipe] {
        let finished = writer.finish_message(|slices| stream.write(slices));
        let Err(WriteError::Io(error)) = finished else {
            panic!("{finished:?}");
        };
        assert_eq!(error.kind(), kind);
    }
}

#[test]
fn one_write_has_all_chunks_of_a_batch() {
    let hub = Hub::default();
    let mut writer = hub.subscribe().into_writer();
    let wire = publish_chunks(&hub);
    let mut stream = Stream::default();
    assert_eq!(stream.turn(&mut writer), Progress::CaughtUp);
    let [(slice_count, len)] = stream.writes[..] else {
        panic!("{} writes", stream.writes.len())
    };
    assert!(slice_count >= 50 && len == wire.len());
    assert_eq!(stream.received, wire);
}

#[test]
fn a_writer_that_yields_has_written_256_kib_and_is_woken() {
    let hub = Hub::default();
    let mut writer = hub.subscribe().into_writer();
    assert!(publish(&mut hub.publisher(), &run(0..8000, 99)).is_ready());
    let (woken, waker) = Woken::new();
    let mut taken = 0;
    let turn = writer.advance(&mut Context::from_waker(&waker), Waker::noop(), |_| {
        taken += 1000;
        Ok(1000)
    });
    assert_eq!(turn.unwrap(), Progress::Yielded);
    assert_eq!(woken.count(), 1);
    assert!((256 * 1024..=257 * 1024).contains(&taken), "{taken} bytes");
}

#[test]
fn a_writer_ends_where_it_is_told_to() {
    for is_told_by_an_ender in [false, true] {
        let hub = Hub::default();
        let (mut publisher, mut writer) = (hub.publisher(), hub.subscribe().into_writer());
        assert!(publish(&mut publisher, &run(0..3, 99)).is_ready());
        let end = hub.end();
        assert!(publish(&mut publisher, &run(3..6, 99)).is_ready());
        if is_told_by_an_ender {
            writer.ender().end_at(end);
        } else {
            writer.end_at(end);
        }
        let mut stream = Stream::default();
        assert_eq!(stream.turn(&mut writer), Progress::Ended);
        assert_eq!(stream.received, run(0..3, 99));
    }
}

#[test]
fn a_writer_that_was_ended_owes_nothing() {
    let hub = Hub::default();
    let mut writer = hub.subscribe().into_writer();
    assert!(publish(&mut hub.publisher(), &message(0, 99)).is_ready());
    let mut stream = Stream::default();
    stream.script.extend([Ok(50), Err(ErrorKind::WouldBlock)]);
    assert_eq!(stream.turn(&mut writer), Progress::Stalled);
    writer.end();
    assert!(!writer.is_stalled());
    assert_eq!(stream.turn(&mut writer), Progress::Ended);
    assert_eq!(stream.received.len(), 50);
}

#[test]
fn a_pending_poll_would_block() {
    assert_eq!(would_block(Poll::Ready(Ok(3))).unwrap(), 3);
    let error = would_block(Poll::Pending).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
}

#[test]
fn a_thread_writes_everything_16_kib_at_a_time() {
    let hub = Hub::default();
    let mut writer = hub.subscribe().into_writer();
    let mut wire = publish_chunks(&hub);
    let more = run(1250..3000, 99);
    assert!(publish(&mut hub.publisher(), &more).is_ready());
    wire.extend(more);
    hub.close();
    let mut received = Vec::<u8>::new();
    let mut stream = Blocking(|buf: &[u8]| {
        assert!(buf.len() <= 16 * 1024 + 255, "{} bytes", buf.len());
        received.extend(buf);
        Ok(())
    });
    writer.write_blocking(&mut stream).unwrap();
    assert_eq!(received, wire);
    assert_eq!(writer.written(), wire.len() as u64);
}

#[test]
fn nobody_waits_for_a_thread_that_is_in_a_write() {
    let hub = hub(16 * 1024);
    let mut writer = hub.subscribe().into_writer();
    assert!(publish(&mut hub.publisher(), &message(0, 99)).is_ready());
    let mut write_count = 0;
    let mut stream = Blocking(|_: &[u8]| {
        write_count += 1;
        if write_count == 1 {
            assert!(publish(&mut hub.publisher(), &run(1..1000, 99)).is_ready());
            hub.close();
        }
        Ok(())
    });
    writer.write_blocking(&mut stream).unwrap();
    let stats = hub.stats();
    assert_eq!(
        (stats.delivered + stats.dropped, stats.published),
        (1000, 1000)
    );
    assert!(stats.dropped > 0);
}

#[test]
fn a_thread_whose_stream_fails_is_in_nobodys_way() {
    let hub = hub(16 * 1024);
    let mut writer = hub.subscribe().into_writer();
    let wire = run(0..100, 99);
    let mut messages = Messages::split(&wire).0;
    hub.publisher().try_publish(&mut messages).unwrap();
    let mut stream = Blocking(|_: &[u8]| Err(ErrorKind::BrokenPipe.into()));
    let error = writer.write_blocking(&mut stream).unwrap_err();
    assert!(matches!(error, WriteError::Io(error) if error.kind() == ErrorKind::BrokenPipe));
    assert!(publish(&mut hub.publisher(), &wire).is_ready());
    let stats = hub.stats();
    assert_eq!((stats.lag_max, stats.laggard_count), (0, 0));
}

#[test]
fn a_thread_that_does_not_keep_up_is_disconnected() {
    let config = Config::default().with_capacity(16 * 1024);
    let hub = config.with_policy(Policy::Disconnect).build().unwrap();
    let mut writer = hub.subscribe().into_writer();
    assert!(publish(&mut hub.publisher(), &message(0, 99)).is_ready());
    let mut stream = Blocking(|_: &[u8]| {
        assert!(publish(&mut hub.publisher(), &run(1..1000, 99)).is_ready());
        Ok(())
    });
    let error = writer.write_blocking(&mut stream).unwrap_err();
    assert!(matches!(error, WriteError::Lagged));
    assert_eq!(hub.stats().disconnected, 1);
}
