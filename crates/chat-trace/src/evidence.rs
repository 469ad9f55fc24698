//! All that a verdict needs, and the verdict.

use chat_check::{MessageId, Record, check};
use chat_results::Check;

use crate::arrival::Strange;
use crate::left_out::LeftOut;
use crate::sends::Sends;
use crate::sent_log::SentLog;
use crate::story::{Conviction, Kept};
use crate::topology::Topology;

/// All that a verdict on a repetition needs: what was sent, what each client did in what order, and
/// what no server may send.
#[derive(Clone, Debug)]
pub struct Evidence {
    check: Check,
    /// The repetition's number for people.
    iteration: u16,
    sent: SentLog,
    /// What each client did. Empty unless everything is checked.
    records: Vec<Record>,
    /// The first thing that is no delivery of a message in its place. The repetition ends with it.
    strange: Option<(usize, Strange)>,
    /// A sender that the server leaves out.
    left_out: Option<LeftOut>,
    /// Whether the repetition came to its end.
    is_complete: bool,
}

impl Evidence {
    pub(crate) fn new(topology: Topology, check: Check) -> Self {
        Self {
            check,
            iteration: 0,
            sent: SentLog::new(topology),
            records: Vec::new(),
            strange: None,
            left_out: None,
            is_complete: false,
        }
    }

    /// Takes what was recorded of a repetition, but for what a delivery looked like that nobody
    /// sent.
    pub(crate) fn recorded(
        topology: Topology,
        iteration: u16,
        (sent, records): (Vec<Sends>, Vec<Record>),
        left_out: Option<LeftOut>,
        is_complete: bool,
    ) -> Self {
        Self {
            check: Check::Full,
            iteration,
            sent: SentLog::recorded(topology, iteration, sent),
            records,
            strange: None,
            left_out,
            is_complete,
        }
    }

    /// Forgets the repetition before and begins one, which is `run` in tags.
    pub(crate) fn begin(&mut self, iteration: u16, run: u16) {
        self.iteration = iteration;
        self.sent.begin(run);
        self.records.iter_mut().for_each(Record::clear);
        (self.strange, self.left_out, self.is_complete) = (None, None, false);
    }

    /// Makes room for `client_count` clients, if there is less.
    pub(crate) fn make_room(&mut self, client_count: usize) {
        self.sent.make_room(client_count);
        let count = client_count.max(self.records.len());
        self.records.resize_with(count, Record::new);
    }

    pub(crate) fn sent_mut(&mut self) -> &mut SentLog {
        &mut self.sent
    }

    /// Records that a client sent messages with ids from `first` on.
    pub(crate) fn record_sent(&mut self, client: usize, ids: std::ops::Range<u32>) {
        if self.check == Check::Full {
            for id in ids {
                let id = MessageId::new(id);
                let id = id.expect("the load is bounded by what can be numbered");
                self.records[client].sent(id);
            }
        }
    }

    /// Records that a client received messages with ids from `first` on.
    pub(crate) fn record_received(&mut self, client: usize, first: MessageId, count: u32) {
        self.records[client].received_run(first, count);
    }

    /// Records that a client received a message with another length or content than it had.
    pub(crate) fn record_corrupt(&mut self, client: usize, id: MessageId, strange: Strange) {
        self.records[client].received_corrupt(id);
        self.strange.get_or_insert((client, strange));
    }

    /// Records that a client received what no server may send.
    pub(crate) fn record_strange(&mut self, client: usize, strange: Strange) {
        // What is out of order has been recorded as what it is.
        if !matches!(strange, Strange::OutOfOrder { .. }) {
            self.records[client].received_phantom();
        }
        self.strange.get_or_insert((client, strange));
    }

    /// Notes a sender that the server leaves out, unless there is one.
    pub(crate) fn note_left_out(&mut self, missing: LeftOut) {
        self.left_out.get_or_insert(missing);
    }

    /// Notes that the repetition came to its end.
    pub(crate) fn complete(&mut self) {
        self.is_complete = true;
    }

    /// Decides whether what happened keeps the promise.
    ///
    /// # Errors
    ///
    /// When it does not: how it was broken.
    pub fn verdict(&self) -> Result<Kept, Conviction> {
        let kept = match (self.check, self.strange) {
            (Check::Off, None) => Kept::Unchecked,
            (Check::Basic, None) => Kept::Partly,
            (Check::Off | Check::Basic, Some((client, strange))) => {
                let story = format!(
                    "{} received {}",
                    self.topology().role(client),
                    strange.story(&self.sent)
                );
                return Err(Conviction {
                    class: strange.class(),
                    story,
                });
            }
            (Check::Full, _) => {
                check(&self.records).map_err(|violation| self.conviction(violation))?;
                Kept::Proved {
                    overtaken: self.overtaken(),
                }
            }
        };
        self.left_out
            .map_or(Ok(kept), |missing| Err(missing.conviction(self.topology())))
    }

    /// Tells whether the repetition came to its end.
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Returns the repetition's number.
    pub fn iteration(&self) -> u16 {
        self.iteration
    }

    /// Returns what was sent.
    pub fn sent(&self) -> &SentLog {
        &self.sent
    }

    /// Returns how many deliveries are recorded.
    pub fn recorded_count(&self) -> u64 {
        self.records
            .iter()
            .map(|record| record.delivery_count() as u64)
            .sum()
    }

    /// Returns what each client did.
    pub(crate) fn records(&self) -> &[Record] {
        &self.records
    }

    pub(crate) fn strange(&self) -> Option<Strange> {
        self.strange.map(|(_, strange)| strange)
    }

    pub(crate) fn left_out(&self) -> Option<LeftOut> {
        self.left_out
    }

    pub(crate) fn topology(&self) -> Topology {
        self.sent.topology()
    }
}
