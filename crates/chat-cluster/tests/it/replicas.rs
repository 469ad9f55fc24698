//! Replicas of a stream that differ, which no stream is to have: a node that reads another one than
//! the others do must end, and not go on with another order.

use chat_cluster::{Config, Ended, Envelope, Node, StreamInfo, Token};
use chat_proto::Messages;
use proptest::prelude::*;

#[test]
fn a_node_that_misses_a_batch_ends_at_the_next_one_of_its_node() {
    let mut room = Room::new();
    room.say(0);
    let missing = room.say(0);
    room.say(0);
    let (read, ended) = room.listen(|entries| drop(entries.remove(missing)));
    assert_eq!((read, ended), (missing, Some(Ended::Diverged(room.id(0)))));
}

#[test]
fn a_node_that_misses_an_opening_ends_at_the_next_batch_of_its_node() {
    let mut room = Room::new();
    room.say(0);
    let opening = room.restart(1);
    let batch = room.say(1);
    let (read, ended) = room.listen(|entries| drop(entries.remove(opening)));
    assert_eq!(
        (read, ended),
        (batch - 1, Some(Ended::Diverged(room.id(1))))
    );
}

#[test]
fn a_node_that_misses_its_own_batch_ends() {
    let mut room = Room::new();
    let missing = room.say(QUIET);
    let (_, ended) = room.listen(|entries| drop(entries.remove(missing)));
    assert_eq!(ended, None, "nobody has said anything since");
    room.say(0);
    let (_, ended) = room.listen(|entries| drop(entries.remove(missing)));
    assert_eq!(ended, Some(Ended::Diverged(room.id(0))));
}

#[test]
fn what_was_published_to_the_stream_before_is_skipped() {
    let mut room = Room::new();
    room.say(0);
    let index = room.say(1);
    let late = room.entries[index].clone();
    let mut anew = Room::with_stream(2);
    anew.say(0);
    let (_, ended) = anew.listen(|entries| entries.push(late));
    assert_eq!(ended, None);
}

proptest! {
    /// Each says something when it has read all, so each knows what stands before.
    #[test]
    fn any_difference_is_noticed_at_the_next_batch_of_another(
        said in prop::collection::vec((0..2_usize, any::<bool>()), 2..40),
        place in any::<prop::sample::Index>(),
        change in 0..3,
    ) {
        let mut room = Room::new();
        let mut batches = Vec::new();
        for (speaker, is_restarted) in said {
            if is_restarted && speaker == 1 {
                room.restart(speaker);
            }
            batches.push(room.say(speaker));
        }
        let (all, ended) = room.listen(|_| {});
        prop_assert_eq!((all, ended), (room.entries.len(), None));
        let changed = batches[place.index(batches.len() - 1)];
        let (read, ended) = room.listen(|entries| match change {
            0 => drop(entries.remove(changed)),
            1 => {
                let other = entries[changed].clone();
                let next = batches[batches.iter().position(|it| *it == changed).unwrap() + 1];
                entries[changed] = entries[next].clone();
                entries[next] = other;
            }
            _ => entries.truncate(changed),
        });
        match change {
            // It reads less, and no other order.
            2 => prop_assert_eq!((read, ended), (changed, None)),
            _ => {
                prop_assert!(matches!(ended, Some(Ended::Diverged(_))), "{:?}", ended);
                let next = batches.iter().find(|it| **it > changed).unwrap();
                prop_assert!(read <= *next, "{} read, changed {}, next {}", read, changed, next);
            }
        }
    }
}

/// Three nodes on a stream that works.
struct Room {
    stream: u64,
    entries: Vec<Vec<u8>>,
    nodes: Vec<Node>,
    starts: u64,
}

const NAMES: [&str; 3] = ["left", "right", "quiet"];
const QUIET: usize = 2;

impl Room {
    fn new() -> Self {
        Self::with_stream(1)
    }

    fn with_stream(stream: u64) -> Self {
        let mut room = Self {
            stream,
            entries: Vec::new(),
            nodes: Vec::new(),
            starts: 0,
        };
        for number in 0..NAMES.len() {
            let node = room.join(number);
            room.nodes.push(node);
            room.open(number);
        }
        room
    }

    fn id(&self, number: usize) -> chat_cluster::NodeId {
        NAMES[number].parse().unwrap()
    }

    fn join(&mut self, number: usize) -> Node {
        self.starts += 1;
        let config = Config {
            id: self.id(number),
            token: Token(self.starts),
            outbox_len_max: 1000,
        };
        let info = StreamInfo {
            id: self.stream,
            first: 1,
            last: self.entries.len() as u64,
        };
        let mut node = Node::join(config, info, None).unwrap();
        read_all(&mut node, &self.entries).unwrap();
        node
    }

    /// Starts a node again; returns the index of its opening.
    fn restart(&mut self, number: usize) -> usize {
        self.nodes[number] = self.join(number);
        self.open(number)
    }

    fn open(&mut self, number: usize) -> usize {
        let opening = self.publish(number);
        // The snapshot after it.
        self.publish(number);
        opening
    }

    /// Has a node publish a message; returns the index of the entry.
    fn say(&mut self, number: usize) -> usize {
        let messages = &mut Messages::split(b"\x01x").0;
        self.nodes[number].accept(messages).unwrap();
        self.publish(number)
    }

    fn publish(&mut self, number: usize) -> usize {
        let publish = self.nodes[number].next_publish().unwrap();
        let (id, bytes) = (publish.id, publish.bytes.to_vec());
        self.entries.push(bytes);
        self.nodes[number].acknowledged(id, self.entries.len() as u64);
        for node in &mut self.nodes {
            read_all(node, &self.entries).unwrap();
        }
        self.entries.len() - 1
    }

    /// Has the quiet node live once more, and read a replica with a change. Returns how many entries it has
    /// read, and how it ended.
    fn listen(&self, change: impl FnOnce(&mut Vec<Vec<u8>>)) -> (usize, Option<Ended>) {
        let mut entries = self.entries.clone();
        change(&mut entries);
        let mut before = Self {
            stream: self.stream,
            entries: Vec::new(),
            nodes: Vec::new(),
            starts: QUIET as u64,
        };
        let mut node = before.join(QUIET);
        for (index, bytes) in entries.iter().enumerate() {
            // From its opening on, it takes what it wrote for its own.
            if let Ok(Envelope::Open { header, .. }) = Envelope::parse(bytes)
                && header.node == self.id(QUIET)
            {
                node.next_publish();
            }
            if let Err(ended) = node.read(index as u64 + 1, bytes) {
                return (index, Some(ended));
            }
        }
        (entries.len(), None)
    }
}

fn read_all(node: &mut Node, entries: &[Vec<u8>]) -> Result<(), Ended> {
    while let Some(bytes) = entries.get(usize::try_from(node.expected()).unwrap() - 1) {
        node.read(node.expected(), bytes)?;
    }
    Ok(())
}
