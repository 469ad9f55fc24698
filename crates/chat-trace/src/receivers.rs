//! How far the clients are that receive.

use crate::arrival::{Run, Strange};
use crate::left_out::LeftOut;
use crate::sent_log::SentLog;
use crate::topology::{Role, Topology};

/// How far each client is with the messages of each publisher, and what it has lost.
#[derive(Debug)]
pub struct Receivers {
    topology: Topology,
    /// Which clients have had any message of this repetition.
    begun: Vec<bool>,
    /// How far each client is with the messages of each publisher, and with its own: a row a
    /// client, a column a publisher, one more for the client's own.
    cells: Vec<Cell>,
    /// How many load messages each receiver has lost.
    lost: Vec<u64>,
    /// How many deliveries of each publisher's load messages receivers have lost: all of them, and
    /// the publisher itself.
    lost_of: Vec<u64>,
    own_lost: Vec<u64>,
    longest_loss: u64,
}

impl Receivers {
    pub(crate) fn new(topology: Topology) -> Self {
        Self {
            topology,
            begun: Vec::new(),
            cells: Vec::new(),
            lost: vec![0; topology.member_count()],
            lost_of: vec![0; topology.publishers],
            own_lost: vec![0; topology.publishers],
            longest_loss: 0,
        }
    }

    /// Forgets the repetition before.
    pub(crate) fn begin(&mut self) {
        self.begun.fill(false);
        self.cells.fill(Cell::default());
        self.lost.fill(0);
        self.lost_of.fill(0);
        self.own_lost.fill(0);
        self.longest_loss = 0;
    }

    /// Makes room for `client_count` clients, if there is less.
    pub(crate) fn make_room(&mut self, client_count: usize) {
        let count = client_count.max(self.begun.len());
        self.begun.resize(count, false);
        self.cells
            .resize(count * (self.topology.publishers + 1), Cell::default());
    }

    /// Settles a client on a run of messages, and notes in it how far the client was. What comes
    /// again or too late is strange.
    pub(crate) fn settle(
        &mut self,
        client: usize,
        run: &mut Run,
        sent: &SentLog,
    ) -> Result<(), Strange> {
        self.begun[client] = true;
        let Some(index) = self.cell_index(client, run.sender) else {
            return Ok(());
        };
        let cell = self.cells[index];
        run.before = cell.next;
        if run.first < run.before {
            return Err(Strange::OutOfOrder {
                sender: run.sender,
                number: run.first,
                next: run.before,
            });
        }
        if run.first > run.before && client < self.lost.len() {
            self.lose(client, run, cell, sent);
        }
        self.cells[index] = Cell {
            next: run.end(),
            place: u32::try_from(run.place).expect("there are fewer bursts than messages"),
        };
        Ok(())
    }

    /// Counts what a client lost between where it was and a run.
    fn lose(&mut self, client: usize, run: &Run, cell: Cell, sent: &SentLog) {
        let sends = sent.of(run.sender);
        let lost = sends.load_before(run.first, run.place)
            - sends.load_before(cell.next, cell.place as usize);
        self.lost[client] += u64::from(lost);
        // Of others than publishers no load can be lost.
        if run.sender < self.topology.publishers {
            self.lost_of[run.sender] += u64::from(lost);
            self.own_lost[run.sender] += if run.sender == client {
                u64::from(lost)
            } else {
                0
            };
        }
        self.longest_loss = self.longest_loss.max(lost.into());
    }

    /// Returns how many messages of `sender` a client is settled on: it has received the last of
    /// them or a later one.
    ///
    /// Other clients' hello messages are not followed: what subscribers send is awaited by nobody
    /// but themselves.
    pub fn settled(&self, client: usize, sender: usize) -> Option<u32> {
        self.cell(client, sender).map(|cell| cell.next)
    }

    /// Tells whether a client has had any message of this repetition.
    pub(crate) fn has_begun(&self, client: usize) -> bool {
        self.begun[client]
    }

    /// Returns a place near which the next burst of `sender` may be for a client.
    pub(crate) fn place_hint(&self, client: usize, sender: usize) -> usize {
        self.cell(client, sender)
            .map_or(0, |cell| cell.place as usize)
    }

    /// Returns how many bytes there are for visitors.
    pub(crate) fn visitor_rows(&self) -> (usize, usize) {
        let visitors = self.begun.len();
        let visitors = visitors.saturating_sub(self.topology.resident_count());
        (visitors, (self.topology.publishers + 1) * size_of::<Cell>())
    }

    /// Returns how many load messages receivers are known to have lost, by later messages of the
    /// same senders.
    pub fn lost(&self) -> u64 {
        self.lost.iter().sum()
    }

    /// Returns how many messages of one publisher in a row a receiver lost at most.
    pub fn longest_loss(&self) -> u64 {
        self.longest_loss
    }

    /// Returns the receiver that lost most, if any did, and how many it lost.
    pub fn worst_loss(&self) -> Option<(Role, u64)> {
        let client = (0..self.lost.len())
            .rev()
            .max_by_key(|&client| self.lost[client])?;
        (self.lost[client] > 0).then(|| (self.topology.role(client), self.lost[client]))
    }

    /// Returns how many deliveries of load messages neither came nor are known to be lost.
    pub fn unresolved(&self, sent: &SentLog) -> u64 {
        (0..self.topology.publishers)
            .map(|publisher| self.unresolved_of(publisher, sent))
            .sum()
    }

    /// Returns how many of these are of messages of `publisher`.
    pub fn unresolved_of(&self, publisher: usize, sent: &SentLog) -> u64 {
        self.topology
            .receivers()
            .map(|client| u64::from(self.unresolved_at(client, publisher, sent)))
            .sum()
    }

    /// Returns how many of these are due to `client`.
    pub fn unresolved_at(&self, client: usize, publisher: usize, sent: &SentLog) -> u32 {
        let (sends, cell) = (
            sent.of(publisher),
            self.cell(client, publisher).unwrap_or_default(),
        );
        sends.load_count() - sends.load_before(cell.next, cell.place as usize)
    }

    /// Looks for a publisher that got none of its own load messages, which everybody else did, and
    /// every one of the other publishers'.
    pub(crate) fn left_out(&self, sent: &SentLog) -> Option<LeftOut> {
        let publishers = self.topology.publishers;
        let receivers = self.topology.receivers();
        receivers
            .take_while(|&client| client < publishers)
            .find_map(|client| {
                let own = sent.of(client).load_count();
                let all = (0..publishers).map(|publisher| sent.of(publisher).load_count());
                let others = all.sum::<u32>() - own;
                let lost = self.own_lost[client];
                let has_lost_nothing_else =
                    self.lost[client] == lost && self.lost_of[client] == lost;
                let is_all_known = (0..publishers)
                    .all(|publisher| self.unresolved_at(client, publisher, sent) == 0)
                    && self.unresolved_of(client, sent) == 0;
                let is_missing = lost == u64::from(own) && has_lost_nothing_else && is_all_known;
                (own.min(others) >= LeftOut::LOAD_MIN && is_missing).then_some(LeftOut {
                    client,
                    sender: client,
                    count: own,
                })
            })
    }

    fn cell(&self, client: usize, sender: usize) -> Option<Cell> {
        self.cell_index(client, sender)
            .map(|index| self.cells[index])
    }

    fn cell_index(&self, client: usize, sender: usize) -> Option<usize> {
        let publishers = self.topology.publishers;
        let column = if sender < publishers {
            sender
        } else {
            publishers
        };
        (sender < publishers || sender == client).then_some(client * (publishers + 1) + column)
    }
}

/// How far a client is with the messages of one sender.
#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    /// How many messages it is settled on.
    next: u32,
    /// The place of the burst that the last of them is in.
    place: u32,
}
