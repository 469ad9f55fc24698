//! The distributions of latencies as an HDR histogram log, which other tools of that family read
//! and draw.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use crate::atomic_file::Draft;

/// Writes a line for each histogram, tagged with its name. Values are in nanoseconds; the largest
/// of each is also told in milliseconds. All were recorded in the `time` until now.
pub fn write<'a>(
    path: &Path,
    time: Duration,
    histograms: impl Iterator<Item = (&'static str, &'a Histogram<u64>)>,
) -> io::Result<()> {
    let mut draft = Draft::begin(path)?;
    let mut serializer = V2DeflateSerializer::new();
    let mut builder = IntervalLogWriterBuilder::new();
    builder
        .add_comment("latencies in nanoseconds")
        .with_start_time(SystemTime::now() - time)
        .with_max_value_divisor(NANOS_PER_MILLI);
    let mut log = builder.begin_log_with(&mut draft, &mut serializer)?;
    for (name, histogram) in histograms {
        let written = log.write_histogram(histogram, Duration::ZERO, time, Tag::new(name));
        written.map_err(|error| io::Error::other(error.to_string()))?;
    }
    draft.keep()
}

const NANOS_PER_MILLI: f64 = 1e6;

#[cfg(test)]
mod tests {
    use std::fs;

    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::*;

    #[test]
    fn a_log_has_every_histogram_under_its_name() {
        let mut histogram = Histogram::<u64>::new_with_bounds(1_000, 60_000_000_000, 3).unwrap();
        histogram.record_n(5_000_000, 7).unwrap();
        let path = std::env::temp_dir().join(format!("stresstest-{}-hdr", std::process::id()));
        write(
            &path,
            Duration::from_secs(3),
            [("delivery", &histogram), ("echo", &histogram)].into_iter(),
        )
        .unwrap();
        let log = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let entries: Vec<LogEntry<'_>> =
            IntervalLogIterator::new(&log).map(Result::unwrap).collect();
        let mut names = Vec::new();
        for entry in &entries {
            if let LogEntry::Interval(interval) = entry {
                names.push(interval.tag().unwrap().as_str());
                assert_eq!(
                    (interval.duration(), interval.max()),
                    (Duration::from_secs(3), 5.001)
                );
                let encoded = hdrhistogram_base64(interval.encoded_histogram());
                let read: Histogram<u64> =
                    Deserializer::new().deserialize(&mut &encoded[..]).unwrap();
                assert_eq!(read, histogram);
            }
        }
        assert_eq!(names, ["delivery", "echo"]);
    }

    /// Decodes base64, which the log has histograms in.
    fn hdrhistogram_base64(text: &str) -> Vec<u8> {
        const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let bits: Vec<u32> = text
            .bytes()
            .filter_map(|byte| DIGITS.iter().position(|&digit| digit == byte))
            .map(|digit| digit as u32)
            .collect();
        let groups = bits.chunks(4).flat_map(|group| {
            let word = group
                .iter()
                .enumerate()
                .fold(0, |word, (place, digit)| word | digit << (18 - 6 * place));
            word.to_be_bytes()[1..group.len()].to_vec()
        });
        groups.collect()
    }
}
