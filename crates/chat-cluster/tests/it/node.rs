use chat_cluster::{
    BATCH_LEN_MAX, Config, Ended, Envelope, JoinError, MessageId, Node, NodeId, Read, StreamInfo,
    Token,
};
use chat_proto::Messages;

#[test]
fn batches_are_whole_messages_up_to_the_limit() {
    let mut stream = Stream::default();
    let mut node = stream.serving("a", 1);
    // Messages of 101 bytes: 648 of them fit into a batch.
    let sent = [&[100][..], &[7; 100]].concat().repeat(2000);
    node.accept(&mut Messages::split(&sent).0).unwrap();
    let mut lens = Vec::new();
    let mut received = Vec::new();
    while let Some(bytes) = stream.publish(&mut node) {
        let sequence = node.expected();
        if let Read::Deliver { messages, .. } = node.read(sequence, &bytes).unwrap() {
            lens.push(messages.as_bytes().len());
            received.extend_from_slice(messages.as_bytes());
        }
    }
    let full = BATCH_LEN_MAX / 101 * 101;
    assert_eq!(lens, [full, full, full, sent.len() - 3 * full]);
    assert!(received == sent);
}

#[test]
fn no_more_is_accepted_than_the_outbox_holds() {
    let mut stream = Stream::default();
    let mut node = stream.serving("a", 1);
    let sent = vec![0; OUTBOX_LEN_MAX + 10];
    let mut messages = Messages::split(&sent).0;
    node.accept(&mut messages).unwrap();
    assert_eq!((messages.count(), node.room()), (10, 0));
    // It is not the stream's confirmation that makes room, but that the batch comes back.
    let bytes = stream.publish(&mut node).unwrap();
    assert_eq!(node.room(), 0);
    node.read(node.expected(), &bytes).unwrap();
    assert_eq!(node.room(), BATCH_LEN_MAX);
}

#[test]
fn a_failed_publish_is_repeated_unchanged() {
    let mut stream = Stream::default();
    let mut node = stream.serving("a", 1);
    node.accept(&mut Messages::split(b"\x01x").0).unwrap();
    let first = node.next_publish().unwrap();
    let (id, bytes) = (first.id, first.bytes.to_vec());
    node.accept(&mut Messages::split(b"\x01y").0).unwrap();
    assert_eq!(node.next_publish(), None);
    node.failed(id);
    let again = node.next_publish().unwrap();
    assert_eq!((again.id, again.bytes), (id, &bytes[..]));
    assert_eq!(id.to_string(), "a.1.0000000000000001.1");
}

#[test]
fn a_failed_snapshot_is_followed_by_batches_and_another() {
    let mut stream = Stream::default();
    let mut node = stream.serving("a", 1);
    node.renew_snapshot();
    let fails = |node: &mut Node| {
        let snapshot = node.next_publish().unwrap().id;
        assert!(matches!(snapshot, MessageId::Snapshot { .. }));
        node.failed(snapshot);
    };
    // Nobody chats, and it is tried again all the same.
    fails(&mut node);
    fails(&mut node);
    // In a room that is never silent, both have their turns.
    for next in 1..4 {
        let messages = [0xff; 256].repeat(2 * BATCH_LEN_MAX / 256);
        node.accept(&mut Messages::split(&messages).0).unwrap();
        let batch = node.next_publish().unwrap().id;
        assert!(matches!(batch, MessageId::Numbered { number, .. } if number == next));
        node.acknowledged(batch, 0);
        fails(&mut node);
    }
}

#[test]
fn a_late_answer_is_not_taken_for_that_of_the_next() {
    let mut stream = Stream::default();
    let mut node = stream.serving("a", 1);
    node.accept(&mut Messages::split(b"\x01x").0).unwrap();
    let first = node.next_publish().unwrap().id;
    node.acknowledged(first, 3);
    node.accept(&mut Messages::split(b"\x01y").0).unwrap();
    let second = node.next_publish().unwrap().id;
    node.acknowledged(first, 3);
    node.failed(first);
    assert_eq!(node.next_publish(), None, "{second} is under way");
}

#[test]
fn a_batch_that_is_not_where_it_was_acknowledged_ends_the_node() {
    let mut stream = Stream::default();
    let mut node = stream.serving("a", 1);
    node.accept(&mut Messages::split(b"\x01x").0).unwrap();
    let batch = node.next_publish().unwrap().id;
    node.acknowledged(batch, 4);
    // It may stand behind what others have written.
    stream.entries.push(b"garbage".to_vec());
    assert_eq!(stream.read_all(&mut node), Ok(()));
    stream.entries.push(b"garbage".to_vec());
    assert_eq!(stream.read_all(&mut node), Err(Ended::Lost));
}

#[test]
fn a_batch_whose_place_was_read_before_its_acknowledgement_ends_the_node_that_looks() {
    let mut stream = Stream::default();
    let mut node = stream.serving("a", 1);
    node.accept(&mut Messages::split(b"\x01x").0).unwrap();
    let batch = node.next_publish().unwrap().id;
    stream.entries.push(b"garbage".to_vec());
    stream.read_all(&mut node).unwrap();
    let info = StreamInfo {
        id: 1,
        first: 1,
        last: 3,
    };
    assert_eq!(node.check(info), Ok(()));
    node.acknowledged(batch, 3);
    assert_eq!(node.check(info), Err(Ended::Lost));
}

#[test]
fn a_batch_that_came_back_before_its_acknowledgement_is_not_waited_for() {
    let mut stream = Stream::default();
    let mut node = stream.serving("a", 1);
    node.accept(&mut Messages::split(b"\x01x").0).unwrap();
    let batch = node.next_publish().unwrap();
    let (id, bytes) = (batch.id, batch.bytes.to_vec());
    stream.entries.push(bytes);
    stream.read_all(&mut node).unwrap();
    node.acknowledged(id, 3);
    stream.entries.push(b"garbage".to_vec());
    assert_eq!(stream.read_all(&mut node), Ok(()));
}

#[test]
fn the_later_of_two_with_one_name_takes_over() {
    let mut stream = Stream::default();
    let mut first = stream.serving("a", 1);
    let mut second = stream.serving("a", 2);
    assert_eq!((first.epoch(), second.epoch()), (Some(1), Some(2)));
    assert_eq!(stream.read_all(&mut first), Err(Ended::Superseded));
    assert_eq!(first.next_publish(), None);
    assert_eq!(stream.read_all(&mut second), Ok(()));
}

#[test]
fn one_of_two_that_start_together_is_refused() {
    let mut stream = Stream::default();
    let mut first = stream.join("a", 1).unwrap();
    let mut second = stream.join("a", 2).unwrap();
    stream.publish(&mut first).unwrap();
    stream.publish(&mut second).unwrap();
    assert_eq!(stream.read_all(&mut first), Ok(()));
    assert_eq!(stream.read_all(&mut second), Err(Ended::Superseded));
    assert!(first.is_serving());
}

#[test]
fn a_stream_without_the_history_is_not_joined() {
    let mut stream = Stream::default();
    let _ = stream.serving("a", 1);
    stream.snapshot = None;
    stream.first = 2;
    assert_eq!(stream.join("b", 2).unwrap_err(), JoinError::HistoryGone);
}

#[test]
fn a_stream_that_was_made_anew_is_told() {
    let mut stream = Stream::default();
    let mut node = stream.serving("a", 1);
    assert_eq!(node.check(stream.info()), Ok(()));
    let anew = StreamInfo {
        id: 2,
        ..stream.info()
    };
    assert_eq!(node.check(anew), Err(Ended::StreamLost));
}

#[test]
fn a_snapshot_of_the_lost_stream_is_not_believed() {
    let mut lost = Stream::default();
    let _ = lost.serving("a", 1);
    let stream = StreamInfo {
        id: 2,
        first: 1,
        last: 4,
    };
    let snapshot = lost.snapshot.as_deref();
    let config = Config {
        id: "b".parse().unwrap(),
        token: Token(2),
        outbox_len_max: 1000,
    };
    let joined = Node::join(config, stream, snapshot).unwrap();
    assert_eq!(joined.expected(), 1);
}

#[test]
fn a_forged_snapshot_harms_no_node() {
    let mut stream = Stream::default();
    let mut node = stream.serving("a", 1);
    let mut bytes = Vec::new();
    let filter = chat_cluster::Filter::new();
    Envelope::Snapshot {
        stream: 1,
        as_of: u64::MAX,
        filter,
    }
    .encode(&mut bytes);
    let expected = node.expected();
    assert!(matches!(node.read(expected, &bytes), Ok(Read::Garbage(_))));
    node.renew_snapshot();
    node.next_publish();
}

/// A stream that works.
#[derive(Default)]
struct Stream {
    first: u64,
    entries: Vec<Vec<u8>>,
    snapshot: Option<Vec<u8>>,
}

impl Stream {
    fn info(&self) -> StreamInfo {
        StreamInfo {
            id: 1,
            first: self.first.max(1),
            last: self.entries.len() as u64,
        }
    }

    fn join(&self, name: &str, token: u64) -> Result<Node, JoinError> {
        let id: NodeId = name.parse().unwrap();
        let config = Config {
            id,
            token: Token(token),
            outbox_len_max: OUTBOX_LEN_MAX,
        };
        let mut node = Node::join(config, self.info(), self.snapshot.as_deref())?;
        self.read_all(&mut node).unwrap();
        Ok(node)
    }

    /// Joins, and has the first snapshot published.
    fn serving(&mut self, name: &str, token: u64) -> Node {
        let mut node = self.join(name, token).unwrap();
        for _ in 0..2 {
            self.publish(&mut node).unwrap();
            self.read_all(&mut node).unwrap();
        }
        assert!(node.is_serving());
        node
    }

    fn publish(&mut self, node: &mut Node) -> Option<Vec<u8>> {
        let publish = node.next_publish()?;
        let (id, bytes) = (publish.id, publish.bytes.to_vec());
        self.entries.push(bytes.clone());
        if matches!(id, MessageId::Snapshot { .. }) {
            self.snapshot = Some(bytes.clone());
        }
        node.acknowledged(id, self.entries.len() as u64);
        Some(bytes)
    }

    fn read_all(&self, node: &mut Node) -> Result<(), Ended> {
        while let Some(bytes) = self
            .entries
            .get(usize::try_from(node.expected()).unwrap() - 1)
        {
            node.read(node.expected(), bytes)?;
        }
        Ok(())
    }
}

const OUTBOX_LEN_MAX: usize = 1 << 20;
