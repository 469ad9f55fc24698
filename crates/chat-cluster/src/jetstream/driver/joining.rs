//! From nothing to a node that reads.

use std::time::Duration;

use async_nats::Client;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

use super::links::{Links, is_permission, show};
use super::publishing::Publishing;
use super::{Driver, RETRY_PAUSE, snapshot};
use crate::jetstream::connect::{self, Connection, Trouble};
use crate::jetstream::delivery::Delivery;
use crate::jetstream::shared::Shared;
use crate::jetstream::{End, Settings, State};
use crate::{Config, JoinError, Node, Token};

/// Joins the cluster: tries until the time for it is over.
pub(super) async fn join<'a>(
    settings: Settings,
    shared: &'a Shared,
    out: mpsc::Sender<Delivery>,
) -> Result<Driver<'a>, End> {
    let start = Instant::now();
    let deadline = start + settings.join_timeout.min(JOIN_TIME_MAX);
    let answer_deadline = deadline.max(start + ANSWER_TIME_MIN);
    let (sender, mut events) = mpsc::channel(EVENT_COUNT_MAX);
    let mut client = None;
    let mut again_count = 0;
    let mut last = None;
    let (node, stream_id) = loop {
        let trying = try_to_join(&settings, &mut client, &sender);
        let trouble = tokio::select! {
            tried = trying => match tried {
                Ok(joined) => break joined,
                Err(trouble) => trouble,
            },
            () = left(shared) => return Err(End::Left),
            () = out.closed() => return Err(End::Dropped),
            () = sleep_until(answer_deadline) => {
                check_permission(&mut events)?;
                return Err(last.unwrap_or_else(|| silence(&settings)));
            }
        };
        let end = match trouble {
            Trouble::Final(end) => return Err(end),
            Trouble::Passing(end) => end,
        };
        // Others have written between the two answers. Where it stays so, the stream has lost something.
        if matches!(end, End::Join(JoinError::Ahead)) && again_count < AGAIN_COUNT_MAX {
            again_count += 1;
            continue;
        }
        check_permission(&mut events)?;
        if Instant::now() >= deadline {
            return Err(end);
        }
        let trouble = Some(end.trouble());
        show(shared, State::Joining { trouble });
        last = Some(end);
        sleep(RETRY_PAUSE).await;
    };
    let client = client.expect("without a connection there is no node");
    let context = connect::context(&settings, &client);
    shared.lock().node = Some(node);
    Ok(Driver {
        snapshots: ticks(snapshot_period(settings.max_age)),
        health: ticks(HEALTH_PERIOD),
        settings,
        shared,
        _client: client,
        context,
        events,
        out,
        pending: None,
        entries: None,
        opening: None,
        checking: None,
        asked_after: 0,
        publishing: Publishing::default(),
        links: Links::default(),
        stream_id,
        last: None,
        gap_count: 0,
        garbage_count: 0,
        was_full: false,
        gone_since: None,
        join_deadline: Some(deadline),
    })
}

async fn try_to_join(
    settings: &Settings,
    client: &mut Option<Client>,
    events: &mpsc::Sender<Connection>,
) -> Result<(Node, u64), Trouble> {
    let client = match client {
        Some(client) => client,
        None => client.insert(connect::connect(settings, events.clone()).await?),
    };
    let context = connect::context(settings, client);
    let info = connect::find_stream(settings, client, &context).await?;
    let snapshot = snapshot::find(settings, &context, info).await?;
    let config = Config {
        id: settings.node,
        token: Token(connect::draw()),
        outbox_len_max: settings.outbox_len_max,
    };
    let joined = Node::join(config, info, snapshot.as_deref());
    // All of it may pass: the next snapshot is another one.
    let failed = |error: JoinError| Trouble::Passing(error.into());
    Ok((joined.map_err(failed)?, info.id))
}

/// Says that NATS was silent.
fn silence(settings: &Settings) -> End {
    let servers = settings.server_list();
    End::Unreachable(format!("NATS at {servers} does not answer"))
}

/// Waits until somebody has the member leave.
async fn left(shared: &Shared) {
    while !shared.lock().is_leaving {
        shared.wake.notified().await;
    }
}

/// Fails when NATS does not permit what was tried.
fn check_permission(events: &mut mpsc::Receiver<Connection>) -> Result<(), End> {
    while let Ok(event) = events.try_recv() {
        match event {
            Connection::Refused(why) if is_permission(&why) => return Err(End::Permission(why)),
            _ => {}
        }
    }
    Ok(())
}

fn ticks(period: Duration) -> tokio::time::Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.reset();
    ticks
}

/// Returns how often a snapshot is to be written, so that there is one at any time.
fn snapshot_period(max_age: Duration) -> Duration {
    match max_age.is_zero() {
        true => SNAPSHOT_PERIOD,
        false => SNAPSHOT_PERIOD.min(max_age / 4),
    }
}

/// How many events of the connection wait at most; what is beyond says the same again.
const EVENT_COUNT_MAX: usize = 64;

/// The longest time to join: a clock has room for it, and nobody waits so long. Judgement.
const JOIN_TIME_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// How long NATS has at least to answer, however short the time to join. Judgement.
const ANSWER_TIME_MIN: Duration = Duration::from_secs(1);

/// How often the stream is looked at.
const HEALTH_PERIOD: Duration = Duration::from_secs(2);

/// How often each node writes a snapshot though nobody chats: a stream may keep entries for an hour
/// alone.
const SNAPSHOT_PERIOD: Duration = Duration::from_secs(15 * 60);

/// How often a node asks again at once for a stream and its snapshot that do not fit. Judgement: others
/// seldom write between the two twice in a row.
const AGAIN_COUNT_MAX: u32 = 5;
