//! A story: steps that mean something whatever steps are left out before them.

use super::{Design, run};

/// One step. A slot has at most one server; a pick chooses among what there is, by the remainder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Start {
        slot: usize,
    },
    Kill {
        slot: usize,
    },
    Freeze {
        slot: usize,
    },
    Thaw {
        slot: usize,
    },
    Cut {
        slot: usize,
    },
    Heal {
        slot: usize,
    },
    /// A client sends, if there is room.
    Send {
        slot: usize,
        client: usize,
        count: usize,
    },
    /// The server publishes what it has next.
    Publish {
        slot: usize,
    },
    /// A publish arrives at the stream, which answers.
    Arrive {
        pick: usize,
    },
    /// A publish goes on its way twice.
    Repeat {
        pick: usize,
    },
    LosePublish {
        pick: usize,
    },
    Answer {
        pick: usize,
    },
    LoseAnswer {
        pick: usize,
    },
    /// The server has waited for the answer for too long.
    TimeOut {
        slot: usize,
    },
    Read {
        slot: usize,
        count: usize,
    },
    /// The server is given entries again, or too early ones.
    ReadAstray {
        slot: usize,
        back: usize,
        ahead: usize,
    },
    RenewSnapshot {
        slot: usize,
    },
    Leave {
        slot: usize,
    },
    /// The stream has no leader: it takes nothing.
    NoLeader,
    Leader,
    /// The stream no longer knows which ids it has had.
    ForgetIds,
    /// The stream forgets its oldest entries.
    ForgetEntries {
        count: usize,
    },
    /// Somebody else writes to the stream.
    Garbage {
        pick: usize,
    },
    /// The stream is lost and made anew.
    LoseStream,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Story(pub(crate) Vec<Op>);

impl Story {
    /// Makes up the story of a seed.
    pub(crate) fn from_seed(seed: u64, len: usize) -> Self {
        let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        // Some stories are calm, so that much is delivered, others are one fault after the other.
        let harshness = [0, 5, 30, 150][chance.below(4)];
        let starts = (0..3).map(|slot| Op::Start { slot });
        let rest = (0..len).map(|_| match chance.below(1000) < harshness {
            true => fault(&mut chance),
            false => traffic(&mut chance),
        });
        Self(starts.chain(rest).collect())
    }

    /// Leaves out as many steps as it can, with the story still breaking a promise.
    pub(crate) fn shrunk(mut self, design: Design) -> Self {
        let mut len = self.0.len().div_ceil(2);
        loop {
            let mut start = 0;
            let mut has_shrunk = false;
            while start < self.0.len() {
                let mut shorter = self.clone();
                shorter.0.drain(start..(start + len).min(shorter.0.len()));
                if run(&shorter, design).is_err() {
                    self = shorter;
                    has_shrunk = true;
                } else {
                    start += len;
                }
            }
            match len {
                1 if !has_shrunk => return self,
                _ => len = len.div_ceil(2),
            }
        }
    }
}

impl std::fmt::Debug for Story {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|op| writeln!(f, "    {op:?}"))
    }
}

fn traffic(chance: &mut Chance) -> Op {
    let slot = chance.below(SLOT_COUNT);
    let pick = chance.below(1000);
    match chance.below(20) {
        0..4 => Op::Send {
            slot,
            client: chance.below(2),
            count: 1 + chance.below(3),
        },
        4..8 => Op::Publish { slot },
        8..12 => Op::Arrive { pick },
        12..15 => Op::Answer { pick },
        15..19 => Op::Read {
            slot,
            count: 1 + chance.below(8),
        },
        _ => match chance.below(8) {
            0 => Op::TimeOut { slot },
            1 => Op::Start { slot: slot % 3 },
            _ => Op::Read { slot, count: 50 },
        },
    }
}

fn fault(chance: &mut Chance) -> Op {
    let slot = chance.below(SLOT_COUNT);
    let pick = chance.below(1000);
    match chance.below(100) {
        0..12 => Op::TimeOut { slot },
        12..22 => Op::LosePublish { pick },
        22..32 => Op::LoseAnswer { pick },
        32..42 => Op::Repeat { pick },
        42..48 => Op::Start { slot },
        48..53 => Op::Kill { slot },
        53..57 => Op::Freeze { slot },
        57..63 => Op::Thaw { slot },
        63..67 => Op::Cut { slot },
        67..73 => Op::Heal { slot },
        73..76 => Op::NoLeader,
        76..81 => Op::Leader,
        81..84 => Op::ForgetIds,
        84..88 => Op::ReadAstray {
            slot,
            back: chance.below(20),
            ahead: chance.below(3),
        },
        88..91 => Op::RenewSnapshot { slot },
        91..95 => Op::Garbage { pick },
        95 => Op::ForgetEntries {
            count: chance.below(10),
        },
        96 => Op::Leave { slot },
        97 => Op::LoseStream,
        _ => Op::ForgetIds,
    }
}

/// Two of the slots have servers of one name.
pub(crate) const SLOT_COUNT: usize = 4;

/// Random numbers from a seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 11) % end as u64).unwrap()
    }
}
