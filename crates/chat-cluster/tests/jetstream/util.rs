use std::future::{Future, poll_fn};
use std::thread;
use std::time::Duration;

use chat_cluster::jetstream::{
    Deliveries, Delivery, Member, Sender, Settings, State, Storage, join,
};
use chat_cluster::{Mark, Own};
use chat_proto::{Messages, MessagesBuf};
use futures::executor::block_on;
use tokio::time::timeout;

use crate::nats::{DEADLINE, Nats};

/// A node and its deliveries.
pub(crate) struct Joined {
    pub(crate) member: Member,
    pub(crate) deliveries: Deliveries,
}

pub(crate) fn settings(nats: &Nats, node: &str) -> Settings {
    let servers = vec![nats.url().parse().unwrap()];
    let (stream, node) = ("room".parse().unwrap(), node.parse().unwrap());
    let mut settings = Settings::new(servers, stream, node);
    settings.replicas = 1;
    settings.storage = Storage::File;
    settings
}

impl Joined {
    /// Joins, and waits until the node serves.
    #[track_caller]
    pub(crate) fn join(settings: Settings) -> Self {
        let (member, deliveries) = join(settings).unwrap();
        let joined = Self { member, deliveries };
        joined.wait_for(State::is_serving);
        joined
    }

    /// Waits for a state.
    #[track_caller]
    pub(crate) fn wait_for(&self, is_it: impl Fn(&State) -> bool) -> State {
        let mut version = 0;
        let mut state = self.member.state();
        while !is_it(&state) {
            assert!(state.end().is_none(), "the node has ended: {state:?}");
            match self.member.wait(&mut version, DEADLINE) {
                Some(next) => state = next,
                None => panic!("the state stays {state:?}"),
            }
        }
        state
    }

    /// Waits for the end, and returns what it says.
    #[track_caller]
    pub(crate) fn end(&self) -> String {
        let state = self.wait_for_end();
        state.end().unwrap().to_string()
    }

    fn wait_for_end(&self) -> State {
        let mut version = 0;
        loop {
            let state = self.member.state();
            if state.end().is_some() {
                return state;
            }
            let waited = self.member.wait(&mut version, DEADLINE);
            assert!(waited.is_some(), "the node does not end: {state:?}");
        }
    }

    /// Receives bodies until there are so many.
    pub(crate) fn receive(&mut self, count: usize) -> Vec<Vec<u8>> {
        let mut bodies = Vec::new();
        while bodies.len() < count {
            let delivery = self.delivery();
            bodies.extend(bodies_of(delivery.messages()));
        }
        bodies
    }

    #[track_caller]
    pub(crate) fn delivery(&mut self) -> Delivery {
        let next = wait(self.deliveries.next());
        next.unwrap_or_else(|| panic!("the node has ended: {:?}", self.member.state()))
    }

    /// Receives until what has the mark comes back; returns the body before the mark.
    pub(crate) fn receive_own(&mut self, mark: Mark) -> Vec<u8> {
        loop {
            let delivery = self.delivery();
            if let Some(offset) = delivery.own().and_then(|own: &Own| own.offset(mark)) {
                let mut messages = delivery.messages();
                let before = bodies_of(messages.take_len(offset));
                return before.last().unwrap().clone();
            }
        }
    }
}

pub(crate) fn bodies_of(messages: Messages<'_>) -> Vec<Vec<u8>> {
    let bodies = messages.iter().map(|body| body.as_bytes().to_vec());
    bodies.collect()
}

/// Sends a message as soon as there is room; returns the mark after it.
pub(crate) fn send(sender: &mut Sender, body: &[u8]) -> Mark {
    let mut buf = MessagesBuf::new();
    buf.push(chat_proto::Body::new(body).unwrap());
    let mut mark = None;
    wait(poll_fn(|cx| sender.poll_ready(cx))).unwrap();
    let accepted = sender.accept(&mut buf.as_messages(), |it| mark = Some(it));
    accepted.unwrap();
    mark.unwrap()
}

/// Waits for a future, but not for ever.
#[track_caller]
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    let watching = thread::spawn(move || {
        if is_done.recv_timeout(DEADLINE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            eprintln!("nothing comes in {DEADLINE:?}");
            std::process::exit(101);
        }
    });
    let output = block_on(future);
    drop(done);
    watching.join().unwrap();
    output
}

/// Does something with the stream as an administrator would.
pub(crate) fn with_nats<F: Future>(
    nats: &Nats,
    act: impl FnOnce(async_nats::jetstream::Context) -> F,
) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let url = nats.url();
    runtime.block_on(async {
        let client = async_nats::connect(url).await.unwrap();
        let acting = act(async_nats::jetstream::new(client));
        let acted = timeout(DEADLINE, acting).await;
        acted.expect("NATS answers")
    })
}

/// A time in which something is tried that is to fail.
pub(crate) const SHORT: Duration = Duration::from_secs(1);
