//! Everything together, step by step.

use std::collections::BTreeMap;

use chat_cluster::{Ended, Token};

use super::server::Server;
use super::story::SLOT_COUNT;
use super::stream::{Answer, Packet, Stream};
use super::truth::Truth;
use super::{Design, Op, Story};

/// What happened in a story, by name, for a test to know that it happens at all.
pub(crate) type Seen = BTreeMap<&'static str, u64>;

/// Plays the story, lets everything recover, and tells which promise was broken.
pub(crate) fn run(story: &Story, design: Design) -> Result<Seen, String> {
    let mut world = World::new(design);
    for op in &story.0 {
        world.step(*op)?;
    }
    world.recover()?;
    let delivered = world.truth.check(&world.stream)?;
    world.count("delivered", delivered as u64);
    (0..SLOT_COUNT).for_each(|slot| world.stop(slot));
    Ok(world.seen)
}

struct World {
    design: Design,
    stream: Stream,
    truth: Truth,
    has_leader: bool,
    net: Vec<Packet>,
    answers: Vec<Answer>,
    slots: [Option<Server>; SLOT_COUNT],
    last_token: u64,
    /// How many runs each name has had.
    starts: BTreeMap<&'static str, u64>,
    seen: Seen,
}

impl World {
    fn new(design: Design) -> Self {
        Self {
            design,
            stream: Stream::new(1),
            truth: Truth::default(),
            has_leader: true,
            net: Vec::new(),
            answers: Vec::new(),
            slots: [const { None }; SLOT_COUNT],
            last_token: 0,
            starts: BTreeMap::new(),
            seen: Seen::new(),
        }
    }

    fn step(&mut self, op: Op) -> Result<(), String> {
        match op {
            Op::Start { slot } => self.start(slot),
            Op::Kill { slot } => self.stop(slot),
            Op::Freeze { slot } => self.with(slot, |server| server.is_frozen = true),
            Op::Thaw { slot } => self.with(slot, |server| server.is_frozen = false),
            Op::Cut { slot } => self.with(slot, |server| server.is_cut = true),
            Op::Heal { slot } => self.with(slot, |server| server.is_cut = false),
            Op::RenewSnapshot { slot } => self.with(slot, |server| server.node.renew_snapshot()),
            Op::Leave { slot } => self.with(slot, |server| server.node.leave()),
            Op::Send {
                slot,
                client,
                count,
            } => return self.send(slot, client, count),
            Op::Publish { slot } => self.publish(slot),
            Op::TimeOut { slot } => self.time_out(slot),
            Op::Arrive { pick } => self.arrive(pick),
            Op::Repeat { pick } => {
                if let Some(index) = pick.checked_rem(self.net.len()) {
                    self.net.push(self.net[index].clone());
                }
            }
            Op::LosePublish { pick } => drop(taken(&mut self.net, pick)),
            Op::Answer { pick } => return self.answer(pick),
            Op::LoseAnswer { pick } => drop(taken(&mut self.answers, pick)),
            Op::Read { slot, count } => return self.read(slot, count),
            Op::ReadAstray { slot, back, ahead } => return self.read_astray(slot, back, ahead),
            Op::NoLeader => self.has_leader = false,
            Op::Leader => self.has_leader = true,
            Op::ForgetIds => self.stream.forget_ids(),
            Op::ForgetEntries { count } => self.stream.forget_entries(count),
            Op::Garbage { pick } => self.stream.write_garbage(pick),
            Op::LoseStream => return self.lose_stream(),
        }
        Ok(())
    }

    /// Heals everything, starts what is down, and sees that all comes to rest.
    fn recover(&mut self) -> Result<(), String> {
        self.has_leader = true;
        for slot in 0..SLOT_COUNT {
            self.with(slot, |server| {
                (server.is_cut, server.is_frozen) = (false, false);
            });
        }
        for round in 0..RECOVERY_ROUNDS_MAX {
            for slot in 0..SLOT_COUNT {
                if slot < 3 && round < RECOVERY_ROUNDS_MAX / 2 {
                    self.start(slot);
                }
                self.publish(slot);
                while !self.net.is_empty() {
                    self.arrive(0);
                }
                while !self.answers.is_empty() {
                    self.answer(0)?;
                }
                self.time_out(slot);
                self.read(slot, usize::MAX)?;
            }
        }
        let last = self.stream.info().last;
        for server in self.slots.iter().flatten() {
            if !server.node.is_drained() || server.node.expected() != last + 1 {
                return Err("a server does not recover".to_owned());
            }
        }
        Ok(())
    }

    fn start(&mut self, slot: usize) {
        if self.slots[slot].is_some() {
            return;
        }
        let name = NAMES[slot];
        self.last_token += 1;
        match Server::join(name, Token(self.last_token), &self.stream, self.design) {
            Ok(server) => {
                *self.starts.entry(name).or_default() += 1;
                self.slots[slot] = Some(server);
                self.count("started", 1);
            }
            Err(_) => self.count("refused", 1),
        }
    }

    fn stop(&mut self, slot: usize) {
        if let Some(server) = self.slots[slot].take() {
            let counts = server.node.counts();
            self.count("duplicates", counts.duplicates);
            self.count("strays", counts.strays);
            self.count("garbage", counts.garbage);
            self.count("missing", counts.missing);
            self.count("retries", counts.retries);
        }
    }

    fn send(&mut self, slot: usize, client: usize, count: usize) -> Result<(), String> {
        let Some(server) = awake(&mut self.slots[slot]) else {
            return Ok(());
        };
        server.send(client, count, &self.stream, &mut self.truth, self.design)
    }

    fn publish(&mut self, slot: usize) {
        if let Some(server) = awake(&mut self.slots[slot]) {
            server.publish(slot, self.design, &mut self.net);
        }
    }

    fn time_out(&mut self, slot: usize) {
        if let Some(server) = awake(&mut self.slots[slot]) {
            server.time_out(slot, self.design, &mut self.net);
        }
    }

    fn arrive(&mut self, pick: usize) {
        let Some(packet) = taken(&mut self.net, pick) else {
            return;
        };
        let stored_at = (self.has_leader).then(|| self.stream.store(&packet, self.design));
        self.answers.push(Answer {
            slot: packet.slot,
            token: packet.token,
            id: packet.id,
            stored_at,
        });
    }

    fn answer(&mut self, pick: usize) -> Result<(), String> {
        let Some(answer) = taken(&mut self.answers, pick) else {
            return Ok(());
        };
        match awake(&mut self.slots[answer.slot]) {
            Some(server) if !server.is_cut && server.token == answer.token => {
                server.answered(&answer, &mut self.truth, self.design)
            }
            _ => Ok(()),
        }
    }

    fn read(&mut self, slot: usize, count: usize) -> Result<(), String> {
        let Some(server) = awake(&mut self.slots[slot]).filter(|server| !server.is_cut) else {
            return Ok(());
        };
        let ended = server.read(count, &self.stream, &mut self.truth, self.design)?;
        let Some(ended) = ended else {
            return Ok(());
        };
        match ended {
            Ended::Superseded if self.starts[NAMES[slot]] > 1 => self.count("superseded", 1),
            Ended::StreamLost => self.count("stream lost", 1),
            Ended::Missed => self.count("missed", 1),
            Ended::Left => self.count("left", 1),
            ended => return Err(format!("a server ended without a reason: {ended}")),
        }
        self.stop(slot);
        Ok(())
    }

    fn read_astray(&mut self, slot: usize, back: usize, ahead: usize) -> Result<(), String> {
        let Some(server) = awake(&mut self.slots[slot]) else {
            return Ok(());
        };
        if server.node.check(self.stream.info()).is_err() {
            return Ok(());
        }
        let expected = server.node.expected();
        let sequences = [
            expected.saturating_sub(1 + back as u64),
            expected + 1 + ahead as u64,
        ];
        for sequence in sequences.into_iter().filter(|sequence| *sequence > 0) {
            if let Some(entry) = self.stream.entry(sequence) {
                server.read_astray(sequence, &entry.bytes)?;
            }
        }
        Ok(())
    }

    /// Publishes stay on their way: they may arrive in the new stream.
    fn lose_stream(&mut self) -> Result<(), String> {
        let delivered = self.truth.check(&self.stream)?;
        self.count("delivered", delivered as u64);
        self.stream = Stream::new(self.stream.id + 1);
        self.truth = Truth::default();
        Ok(())
    }

    fn with(&mut self, slot: usize, change: impl FnOnce(&mut Server)) {
        self.slots[slot].as_mut().map(change);
    }

    fn count(&mut self, what: &'static str, count: u64) {
        *self.seen.entry(what).or_default() += count;
    }
}

fn awake(slot: &mut Option<Server>) -> Option<&mut Server> {
    slot.as_mut().filter(|server| !server.is_frozen)
}

fn taken<T>(items: &mut Vec<T>, pick: usize) -> Option<T> {
    let index = pick.checked_rem(items.len())?;
    Some(items.remove(index))
}

/// The first and the last slot have servers of one name.
const NAMES: [&str; SLOT_COUNT] = ["left", "middle", "right", "left"];
/// How many turns all servers have to come to rest: an outbox is a few batches.
const RECOVERY_ROUNDS_MAX: usize = 60;
