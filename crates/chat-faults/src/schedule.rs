//! What happens in a room, drawn from a seed.

use std::num::NonZeroU64;
use std::time::Duration;

use chat_toxic::{End, Plan};
use fastrand::Rng;

use crate::body::Bodies;

/// What happens in one room.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// The seed it was drawn from.
    pub seed: u64,
    /// What the server is told besides the address.
    pub server_args: Vec<String>,
    /// Whether the server may close a client that does not keep up.
    pub may_disconnect: bool,
    /// Whether the server may drop nothing at all.
    pub is_lossless: bool,
    /// Who takes part. The first is the witness: it joins before all others, reads all the time and
    /// leaves last.
    pub members: Vec<Member>,
    /// What happens to the server meanwhile.
    pub event: Option<Event>,
    /// How long everything may take. Nothing comes near it unless it hangs.
    pub time_max: Duration,
}

/// Something that happens to the server itself, after so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It does not run for a time.
    Stop {
        /// When that begins.
        after: Duration,
        /// How long it lasts.
        time: Duration,
    },
    /// It is told to end.
    Terminate {
        /// When.
        after: Duration,
    },
}

/// What one client does.
#[derive(Clone, Debug)]
pub struct Member {
    /// When it joins.
    pub joins_after: Duration,
    /// How many messages it sends.
    pub send_count: u32,
    /// How many it sends at a time.
    pub burst_len: u32,
    /// How long it waits after each burst, at most.
    pub pause: Duration,
    /// Whether it waits for something to arrive after each burst, so that the next is an answer.
    pub is_answering: bool,
    /// How many messages without a body it sends, before all others.
    pub empty_count: u32,
    /// When it reads.
    pub reading: Reading,
    /// How it leaves.
    pub leave: Leave,
    /// How long it stays.
    pub stay: Stay,
    /// The length of its receive buffer, if it is not the system's.
    pub recv_buf_len: Option<usize>,
    /// What is done to its connection, if it does not go straight to the server.
    pub plan: Option<Plan>,
}

/// When a client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// All the time.
    Always,
    /// Not before this time is over.
    After(Duration),
    /// Never.
    Never,
}

/// How long a client stays when it has sent everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stay {
    /// It leaves at once.
    No,
    /// It leaves when all but the witness have sent everything.
    UntilAllSent,
    /// It sends its last message and leaves when all others are gone, so that it receives whatever
    /// one of them did. Only the witness does.
    UntilAllGone,
}

/// How a client leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// It ends its sending side and reads to the end.
    HalfClose,
    /// The same, after so many bytes of a message that it does not finish.
    Inside(usize),
    /// It closes the connection and reads no more.
    Close,
    /// It resets the connection.
    Reset,
}

impl Schedule {
    /// Draws a schedule.
    pub fn draw(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let is_flood = rng.u8(..8) == 0;
        let policy = *rng
            .choice(&["oldest", "newest", "disconnect", "block"])
            .unwrap_or(&"oldest");
        let log_bytes = *rng.choice(&LOG_BYTES).unwrap_or(&LOG_BYTES[0]);
        let is_lossless = policy == "block" || (policy == "oldest" && log_bytes > FLOOD_LEN);
        let mut schedule = Self {
            seed,
            server_args: server_args(&mut rng, policy, log_bytes),
            may_disconnect: policy == "disconnect",
            is_lossless,
            members: vec![Member::witness()],
            event: draw_event(&mut rng),
            time_max: TIME_MAX,
        };
        for _ in 0..rng.usize(MEMBER_COUNT_MIN..=MEMBER_COUNT_MAX) {
            let member = Member::draw(&mut rng, policy == "block");
            schedule.members.push(member);
        }
        if is_flood {
            schedule.members.push(Member::flooder());
        }
        schedule.draw_plans(&mut rng);
        schedule
    }

    /// Adds so many clients that flood.
    #[must_use]
    pub fn with_floods(mut self, count: usize) -> Self {
        self.members.extend((0..count).map(|_| Member::flooder()));
        self
    }

    /// Has the room share a server with others: nothing is promised of losses then, nothing happens
    /// to the server, and nobody takes less than `rate_min` bytes in a second, since there is more
    /// to take than this room sends.
    #[must_use]
    pub fn on_shared_server(mut self, rate_min: NonZeroU64) -> Self {
        self.is_lossless = false;
        self.may_disconnect = false;
        self.event = None;
        self.time_max = SHARED_TIME_MAX;
        for plan in self
            .members
            .iter_mut()
            .filter_map(|member| member.plan.as_mut())
        {
            let rate = &mut plan.to_client.rate;
            *rate = rate.map(|rate| rate.max(rate_min));
            plan.to_client.slices = plan.to_client.slices.take().map(|_| 1..=PACKET_LEN);
        }
        self
    }

    /// Returns about how many bytes the room's messages have.
    pub fn sent_len(&self) -> u64 {
        let counts = self.members.iter().map(|member| member.send_count);
        counts.map(u64::from).sum::<u64>() * MESSAGE_LEN_MEAN
    }

    /// Returns the room's bodies.
    pub(crate) fn bodies(&self) -> Bodies {
        let counts = self.members.iter().map(|member| member.send_count);
        // The low half of a seed tells the rooms of one server apart.
        #[expect(clippy::cast_possible_truncation, reason = "the low bits are meant")]
        let room = ROOM ^ (self.seed as u32 & 0xffff);
        Bodies::new(room, counts)
    }

    /// Gives most members a toxic connection.
    fn draw_plans(&mut self, rng: &mut Rng) {
        let room_len = self.sent_len();
        for member in self.members.iter_mut().skip(1) {
            let own_len = u64::from(member.send_count) * MESSAGE_LEN_MEAN;
            let ends = rng.u8(..6);
            if ends > 1 && rng.bool() {
                continue;
            }
            let seed = rng.u64(..);
            let mut plan = Plan::draw(seed, room_len);
            if room_len > SLICED_LEN_MAX {
                // A call for every few bytes would take too long.
                plan.to_client.slices = plan.to_client.slices.map(|_| 1..=PACKET_LEN);
            }
            plan.to_server = Plan::draw(!seed, own_len).to_server;
            if own_len > SLICED_LEN_MAX {
                plan.to_server.slices = None;
            }
            let (direction, len) = if rng.bool() {
                (&mut plan.to_server, own_len)
            } else {
                (&mut plan.to_client, room_len)
            };
            let at = rng.u64(..len.max(1));
            match ends {
                0 => direction.end = End::Reset { at },
                1 => direction.end = End::HalfClose { at },
                _ => {}
            }
            member.plan = Some(plan);
        }
    }
}

impl Member {
    fn witness() -> Self {
        Self {
            joins_after: Duration::ZERO,
            send_count: 3,
            burst_len: 1,
            pause: Duration::from_millis(5),
            is_answering: false,
            empty_count: 0,
            reading: Reading::Always,
            leave: Leave::HalfClose,
            stay: Stay::UntilAllGone,
            recv_buf_len: None,
            plan: None,
        }
    }

    fn flooder() -> Self {
        Self {
            send_count: FLOOD_COUNT,
            burst_len: 200,
            pause: Duration::ZERO,
            stay: Stay::No,
            ..Self::witness()
        }
    }

    fn draw(rng: &mut Rng, is_waited_for: bool) -> Self {
        let mut member = Self {
            joins_after: Duration::from_millis(rng.u64(..JOIN_MS_MAX)),
            send_count: rng.u32(1..=SEND_COUNT_MAX),
            burst_len: rng.u32(1..=20),
            pause: Duration::from_millis(rng.u64(..PAUSE_MS_MAX)),
            is_answering: rng.u8(..3) == 0,
            empty_count: if rng.u8(..4) == 0 { rng.u32(..20) } else { 0 },
            stay: if rng.bool() {
                Stay::UntilAllSent
            } else {
                Stay::No
            },
            recv_buf_len: (rng.u8(..4) == 0).then_some(RECV_BUF_LEN),
            ..Self::witness()
        };
        match rng.u8(..12) {
            0 => member.send_count = 0,
            1 => member.leave = Leave::Close,
            2 => member.leave = Leave::Reset,
            3 => member.leave = Leave::Inside(rng.usize(1..256)),
            4 | 5 => {
                let time = Duration::from_millis(rng.u64(1..SLEEP_MS_MAX));
                member.reading = Reading::After(time);
            }
            6 if !is_waited_for => {
                member.reading = Reading::Never;
                member.leave = if rng.bool() {
                    Leave::Close
                } else {
                    Leave::Reset
                };
            }
            _ => {}
        }
        member
    }

    /// Tells whether the connection ends only as the client and the server end it.
    pub fn is_whole(&self) -> bool {
        let is_endless = self.plan.as_ref().is_none_or(|plan| {
            [&plan.to_server, &plan.to_client].map(|toxics| toxics.end) == [End::Never; 2]
        });
        is_endless && matches!(self.leave, Leave::HalfClose | Leave::Inside(_))
    }
}

fn server_args(rng: &mut Rng, policy: &str, log_bytes: u64) -> Vec<String> {
    let mut args = vec![
        format!("--drop-policy={policy}"),
        format!("--log-bytes={log_bytes}"),
        "--drain-timeout=2s".to_owned(),
    ];
    let rates = ["1KiB", "64KiB", "8MiB", "1GiB"];
    let graces = ["1ms", "20ms", "100ms", "300ms"];
    if let (Some(rate), Some(grace)) = (rng.choice(rates), rng.choice(graces)) {
        args.extend([format!("--keep-up-rate={rate}"), format!("--grace={grace}")]);
    }
    if rng.bool() {
        args.push("--log=debug".to_owned());
    }
    args
}

fn draw_event(rng: &mut Rng) -> Option<Event> {
    let after = Duration::from_millis(rng.u64(..EVENT_MS_MAX));
    match rng.u8(..10) {
        0 => Some(Event::Terminate { after }),
        1 => Some(Event::Stop {
            after,
            time: Duration::from_millis(rng.u64(1..SLEEP_MS_MAX)),
        }),
        _ => None,
    }
}

/// The lengths of the log: the least there may be, such that most rooms overrun, and the default.
const LOG_BYTES: [u64; 4] = [8 << 10, 16 << 10, 256 << 10, 8 << 20];

/// More than all messages of a room have together.
const FLOOD_LEN: u64 = 4 << 20;

/// How many messages a flood has: more than sockets and most logs hold.
const FLOOD_COUNT: u32 = 20_000;

/// How many bytes a message has on average: half the short ones, and some of the longest.
const MESSAGE_LEN_MEAN: u64 = 43;

/// How many members there are besides the witness.
const MEMBER_COUNT_MIN: usize = 3;
const MEMBER_COUNT_MAX: usize = 8;

/// How many messages a member sends at most. A judgement, like all times below: a room takes about
/// a second.
const SEND_COUNT_MAX: u32 = 60;
const JOIN_MS_MAX: u64 = 300;
const PAUSE_MS_MAX: u64 = 60;
const SLEEP_MS_MAX: u64 = 400;
const EVENT_MS_MAX: u64 = 600;
const TIME_MAX: Duration = Duration::from_secs(60);
const SHARED_TIME_MAX: Duration = Duration::from_secs(180);

/// How many bytes of a direction are cut into slices of a few bytes at most.
const SLICED_LEN_MAX: u64 = 64 << 10;

/// How long slices are otherwise: as in most networks.
const PACKET_LEN: usize = 1460;

/// A small receive buffer, which has a client fall behind early.
const RECV_BUF_LEN: usize = 4 << 10;

/// The high half tells the bodies of rooms from others.
const ROOM: u32 = 0xc0ff_0000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_schedule() {
        for seed in 0..100 {
            let [one, other] = [(); 2].map(|()| format!("{:?}", Schedule::draw(seed)));
            assert_eq!(one, other);
        }
        assert_ne!(
            format!("{:?}", Schedule::draw(1).members),
            format!("{:?}", Schedule::draw(2).members)
        );
    }

    #[test]
    fn two_hundred_seeds_have_every_kind_of_fault() {
        let all: Vec<_> = (0..200).map(Schedule::draw).collect();
        let members = || all.iter().flat_map(|schedule| &schedule.members);
        let plans = || members().filter_map(|member| member.plan.as_ref());
        let ends = || plans().flat_map(|plan| [plan.to_server.end, plan.to_client.end]);
        assert!(members().any(|member| member.reading == Reading::Never));
        assert!(members().any(|member| matches!(member.leave, Leave::Inside(_))));
        assert!(members().any(|member| member.leave == Leave::Reset));
        assert!(ends().any(|end| matches!(end, End::Reset { .. })));
        assert!(ends().any(|end| matches!(end, End::HalfClose { .. })));
        assert!(all.iter().any(|schedule| schedule.sent_len() > 500_000));
        let events = || all.iter().filter_map(|schedule| schedule.event);
        assert!(events().any(|event| matches!(event, Event::Stop { .. })));
        assert!(events().any(|event| matches!(event, Event::Terminate { .. })));
        let lossless_count = all.iter().filter(|schedule| schedule.is_lossless).count();
        assert!((30..150).contains(&lossless_count), "{lossless_count}");
    }
}
