//! Writes the log without ever making anybody wait for who reads it.
//!
//! tracing-appender does nearly this. But when it ends while nobody reads, it prints a line to
//! stdout, which is for the ready line alone, and waits there if nobody reads that either.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender, TrySendError};
use std::thread;
use std::time::{Duration, Instant};

use crate::args::LogFormat;

/// Hands lines to a thread that writes them. When the thread has too many, further ones are dropped
/// and counted, and how many is written when there is room again.
#[derive(Clone, Debug)]
pub(crate) struct LogWriter {
    queue: SyncSender<Item>,
    /// How many lines were dropped that nothing was written of.
    dropped: Arc<AtomicUsize>,
    format: LogFormat,
}

/// Gives the thread a bounded time to write what waits, when it is dropped.
#[derive(Debug)]
pub(crate) struct LogEnd(LogWriter);

#[derive(Debug)]
enum Item {
    Line(Vec<u8>),
    /// All lines that were put before have been written when this is dropped.
    End(#[expect(dead_code, reason = "it is told by its drop")] Sender<()>),
}

/// Starts the thread. At most `capacity` lines wait for it.
pub(crate) fn start(
    output: impl Write + Send + 'static,
    capacity: usize,
    format: LogFormat,
) -> io::Result<(LogWriter, LogEnd)> {
    let (queue, lines) = mpsc::sync_channel(capacity);
    let dropped = Arc::new(AtomicUsize::new(0));
    let writer = LogWriter {
        queue,
        dropped,
        format,
    };
    thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || write_all(output, &lines))?;
    Ok((writer.clone(), LogEnd(writer)))
}

fn write_all(mut output: impl Write, lines: &Receiver<Item>) {
    for item in lines {
        if let Item::Line(line) = item {
            // Nobody is left to be told when it fails.
            let _ = output.write_all(&line);
        }
    }
}

impl LogWriter {
    /// Puts a line into the queue; returns whether there was room for it.
    fn put(&self, line: Vec<u8>) -> bool {
        self.queue.try_send(Item::Line(line)).is_ok()
    }

    /// Writes how many lines were dropped, if any were and there is room.
    fn put_notice(&self) {
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 && !self.put(notice(dropped, self.format)) {
            self.dropped.fetch_add(dropped, Ordering::Relaxed);
        }
    }
}

fn notice(dropped: usize, format: LogFormat) -> Vec<u8> {
    let told = format!("{dropped} lines of the log were dropped here, since nobody read them");
    let line = match format {
        LogFormat::Text => told,
        LogFormat::Json => serde_json::json!({ "level": "WARN", "message": told }).to_string(),
    };
    (line + "\n").into_bytes()
}

impl Write for LogWriter {
    /// Writes one line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.put_notice();
        if !self.put(line.to_vec()) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LogEnd {
    fn drop(&mut self) {
        let Self(writer) = self;
        writer.put_notice();
        let deadline = Instant::now() + END_TIMEOUT;
        let (ended, written) = mpsc::channel();
        let mut end = Item::End(ended);
        while let Err(TrySendError::Full(item)) = writer.queue.try_send(end) {
            if Instant::now() >= deadline {
                return;
            }
            end = item;
            thread::sleep(Duration::from_millis(1));
        }
        // Nothing is ever sent: it ends when the thread has come to it, or it is time.
        let left = deadline.saturating_duration_since(Instant::now());
        let _ = written.recv_timeout(left);
    }
}

/// How long the end of the program waits for the log. A judgement: whoever reads at all has read by
/// then.
const END_TIMEOUT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Takes nothing until a pipe is closed.
    struct Stuck {
        shown: Arc<Mutex<Vec<u8>>>,
        opened: io::PipeReader,
    }

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            io::copy(&mut self.opened, &mut io::sink())?;
            self.shown.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn stuck() -> (Stuck, Arc<Mutex<Vec<u8>>>, io::PipeWriter) {
        let (opened, gate) = io::pipe().unwrap();
        let shown = Arc::default();
        let stuck = Stuck {
            shown: Arc::clone(&shown),
            opened,
        };
        (stuck, shown, gate)
    }

    #[test]
    fn a_notice_has_the_format_of_the_lines_around_it() {
        let line = notice(3, LogFormat::Json);
        let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert!(value["message"].as_str().unwrap().starts_with("3 lines"));
        assert!(notice(3, LogFormat::Text).starts_with(b"3 lines"));
    }

    #[test]
    fn lines_that_nobody_takes_are_dropped_and_all_are_accounted_for() {
        let (output, shown, gate) = stuck();
        let (mut writer, end) = start(output, 2, LogFormat::Text).unwrap();
        let mut written = 0;
        let mut write_line = |writer: &mut LogWriter| {
            writer.write_all(b"line\n").unwrap();
            written += 1;
        };
        (0..10).for_each(|_| write_line(&mut writer));
        let dropped = writer.dropped.load(Ordering::Relaxed);
        // The thread holds one line, and two wait.
        assert!((7..=8).contains(&dropped), "{dropped}");
        drop(gate);
        while writer.dropped.load(Ordering::Relaxed) > 0 {
            write_line(&mut writer);
        }
        drop(end);
        let shown = String::from_utf8(shown.lock().unwrap().clone()).unwrap();
        let (lines, notices): (Vec<_>, Vec<_>) = shown.lines().partition(|line| *line == "line");
        let told = notices
            .iter()
            .map(|notice| notice.split(' ').next().unwrap().parse::<usize>().unwrap());
        assert!(!notices.is_empty());
        assert_eq!(lines.len() + told.sum::<usize>(), written, "{shown}");
    }

    #[test]
    fn the_end_waits_for_what_is_read_and_not_for_ever() {
        let (output, shown, gate) = stuck();
        let (mut writer, end) = start(output, 100, LogFormat::Text).unwrap();
        writer.write_all(b"last\n").unwrap();
        drop(gate);
        drop(end);
        assert_eq!(shown.lock().unwrap()[..], *b"last\n");

        let (output, shown, _gate) = stuck();
        let (mut writer, end) = start(output, 1, LogFormat::Text).unwrap();
        (0..3).for_each(|_| writer.write_all(b"line\n").unwrap());
        drop(end);
        assert_eq!(shown.lock().unwrap()[..], *b"");
    }
}
