use chat_results::{BodyLens, Check};

use super::*;
use crate::arrival::Arrived;
use crate::payload::Payloads;
use crate::trace::{Strangers, Trace};

const TOPOLOGY: Topology = Topology {
    publishers: 2,
    subscribers: 1,
    slow: 0,
    publishers_read: true,
};

/// Two repetitions in which publisher 0 sent three messages; in the second, client 2 got two of
/// them in the wrong order.
fn record() -> Vec<u8> {
    let mut trace = Trace::new(
        Payloads::new(1, BodyLens::ALL),
        TOPOLOGY,
        Check::Full,
        Strangers::None,
    );
    let mut writer = Writer::begin(Vec::new(), TOPOLOGY).unwrap();
    for run in 0..2 {
        trace.begin(run);
        let mut sent = Vec::new();
        let times = Times {
            intended: 0,
            sent: 0,
            is_measured: true,
        };
        trace.send(0, Kind::Load, 3, times, |body| sent.push(body.to_vec()));
        let arrived = sent.iter().map(|body| Arrived {
            body,
            message_len: 1 + body.len(),
        });
        if run == 1 {
            trace.receive(2, &mut arrived.clone().skip(2));
        }
        trace.receive(2, &mut arrived.clone());
        writer.add(trace.evidence()).unwrap();
    }
    writer.end().unwrap()
}

/// Reads all repetitions, and returns for each whether the promise was kept.
fn recheck(recording: &[u8]) -> Result<Vec<bool>, RecordingError> {
    let mut reader = Reader::begin(recording)?;
    std::iter::from_fn(|| reader.next_repetition().transpose())
        .map(|evidence| evidence.map(|evidence| evidence.verdict().is_ok()))
        .collect()
}

#[test]
fn a_recording_leads_to_the_same_verdicts() {
    assert_eq!(recheck(&record()).unwrap(), [true, false]);
}

#[test]
fn a_recording_that_is_cut_anywhere_is_incomplete() {
    let recording = record();
    for len in 0..recording.len() {
        let error = recheck(&recording[..len]).unwrap_err();
        assert!(
            matches!(error, RecordingError::Incomplete | RecordingError::Foreign),
            "cut to {len}: {error}"
        );
    }
}

#[test]
fn a_changed_bit_is_found_or_makes_another_recording() {
    let recording = record();
    let (mut found_count, bit_count) = (0, 8 * recording.len());
    for bit in 0..bit_count {
        let mut changed = recording.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        match copy(&changed) {
            Ok(copy) => assert_eq!(copy, changed, "bit {bit}"),
            Err(_) => found_count += 1,
        }
    }
    assert!(found_count > bit_count / 2, "{found_count} of {bit_count}");
}

/// Reads a whole recording, judges it, and writes it again.
fn copy(recording: &[u8]) -> Result<Vec<u8>, RecordingError> {
    let mut reader = Reader::begin(recording)?;
    let mut writer = Writer::begin(Vec::new(), reader.topology)?;
    while let Some(evidence) = reader.next_repetition()? {
        let _ = evidence.verdict();
        writer.add(&evidence)?;
    }
    Ok(writer.end()?)
}
