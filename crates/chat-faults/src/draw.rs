//! The drawing of schedules.

use std::time::Duration;

use chat_toxic::{End, Plan};
use fastrand::Rng;

use crate::schedule::{Event, Leave, MESSAGE_LEN_MEAN, Member, Reading, Schedule, Stay};

impl Schedule {
    /// Draws a schedule.
    pub fn draw(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let is_flood = rng.u8(..8) == 0;
        let policy = *rng
            .choice(&["oldest", "newest", "disconnect", "block"])
            .unwrap_or(&"oldest");
        // Those who take nothing are closed, so that nobody waits for them for long.
        let has_stall_timeout = policy == "block" && rng.bool();
        let log_bytes = *rng.choice(&LOG_BYTES).unwrap_or(&LOG_BYTES[0]);
        let is_lossless = (policy == "block" && !has_stall_timeout)
            || (policy == "oldest" && log_bytes > FLOOD_LEN);
        let mut schedule = Self {
            seed,
            server_args: server_args(&mut rng, policy, log_bytes),
            may_disconnect: policy == "disconnect" || has_stall_timeout,
            is_lossless,
            is_shared: false,
            members: vec![Member::witness()],
            event: draw_event(&mut rng),
            time_max: TIME_MAX,
        };
        for _ in 0..rng.usize(MEMBER_COUNT_MIN..=MEMBER_COUNT_MAX) {
            let member = Member::draw(&mut rng, policy == "block" && !has_stall_timeout);
            schedule.members.push(member);
        }
        if has_stall_timeout {
            schedule
                .server_args
                .push("--stall-timeout=200ms".to_owned());
        }
        // From numbers of their own, so that the rest of a schedule stays what it was.
        let limits = &mut Rng::with_seed(!seed);
        schedule.draw_rates(limits, is_flood);
        schedule.draw_timeouts(limits, has_stall_timeout);
        if is_flood {
            schedule.members.push(Member::flooder());
        }
        schedule.draw_plans(&mut rng);
        schedule
    }

    /// Has the server read some clients later, such that the room takes seconds at most.
    fn draw_rates(&mut self, rng: &mut Rng, is_flood: bool) {
        // A flood is much longer than all that others send.
        let rates = match is_flood {
            true => [
                "rate-messages=10000",
                "rate-bytes=1MiB",
                "ingress-rate=2MiB",
            ],
            false => ["rate-messages=50", "rate-bytes=8KiB", "ingress-rate=32KiB"],
        };
        let drawn = rates.into_iter().filter(|_| rng.u8(..4) == 0);
        self.server_args
            .extend(drawn.map(|rate| format!("--{rate}")));
        if !is_flood && rng.u8(..8) == 0 {
            self.server_args.push("--public".to_owned());
        }
    }

    /// Has the server close some clients that take their time.
    fn draw_timeouts(&mut self, rng: &mut Rng, has_stall_timeout: bool) {
        if rng.u8(..6) == 0 {
            self.server_args.push("--message-timeout=200ms".to_owned());
            self.may_disconnect = true;
        }
        // The witness takes everything, but it is a thread that may have to wait for its turn. So these
        // are for rooms in which messages may be lost.
        if rng.u8(..6) == 0 && !self.is_lossless {
            self.server_args
                .push("--half-closed-timeout=200ms".to_owned());
            self.may_disconnect = true;
        }
        if rng.u8(..6) == 0 && !self.is_lossless && !has_stall_timeout {
            let args = ["--stall-timeout=300ms", "--min-drain-rate=1KiB"];
            self.server_args.extend(args.map(str::to_owned));
            self.may_disconnect = true;
        }
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

    pub(crate) fn flooder() -> Self {
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

/// How many bytes of a direction are cut into slices of a few bytes at most.
const SLICED_LEN_MAX: u64 = 64 << 10;

/// How long slices are otherwise: as in most networks.
pub(crate) const PACKET_LEN: usize = 1460;

/// A small receive buffer, which has a client fall behind early.
const RECV_BUF_LEN: usize = 4 << 10;

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
        for option in [
            "--rate-",
            "--ingress-rate",
            "--public",
            "--message-timeout",
            "--half-closed",
        ] {
            let has = |args: &[String]| args.iter().any(|arg| arg.starts_with(option));
            assert!(
                all.iter().any(|schedule| has(&schedule.server_args)),
                "{option}"
            );
        }
        let lossless_count = all.iter().filter(|schedule| schedule.is_lossless).count();
        assert!((30..150).contains(&lossless_count), "{lossless_count}");
    }
}
