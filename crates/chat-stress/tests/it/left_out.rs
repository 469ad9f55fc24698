use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use chat_proto::blocking::Reader;
use chat_stress::{Failure, Load, Order, Target, run};

/// A server that drops some of the messages for one client, whole ones, at random.
struct Dropping {
    clients: Vec<TcpStream>,
    random: u64,
    /// Which part is dropped, in percent.
    percent: u64,
}

/// The client for which messages are dropped: subscriber 0 of publisher 0.
const VICTIM: usize = 2;

impl Dropping {
    fn forward(&mut self, message: &[u8]) {
        for index in 0..self.clients.len() {
            if index == VICTIM && self.draw() % 100 < self.percent {
                continue;
            }
            // It may have left.
            let _ = self.clients[index].write_all(message);
        }
    }

    /// Source: Numerical Recipes, 3rd edition, section 7.1.4, xorshift with a multiplication.
    fn draw(&mut self) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33
    }

    fn serve(self, listener: &TcpListener) {
        let hub = Arc::new(Mutex::new(self));
        for stream in listener.incoming().map(Result::unwrap) {
            stream.set_nodelay(true).unwrap();
            hub.lock()
                .unwrap()
                .clients
                .push(stream.try_clone().unwrap());
            let hub = Arc::clone(&hub);
            thread::spawn(move || {
                let mut reader = Reader::new(&stream);
                while let Ok(Some(body)) = reader.next_body() {
                    let message = body.to_message();
                    hub.lock().unwrap().forward(message.as_bytes());
                }
                let _ = stream.shutdown(Shutdown::Both);
            });
        }
    }
}

/// Checks what comes of a server that drops so much, with many seeds.
fn check(percent: u64, seeds: u64, is_as_expected: fn(&Order, Option<&Failure>) -> bool) {
    let next = AtomicU64::new(1);
    thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(seeds) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > seeds {
                        return;
                    }
                    let server = Dropping {
                        clients: Vec::new(),
                        random: seed,
                        percent,
                    };
                    let target = Target::serve(move |listener| server.serve(&listener));
                    let load = Load {
                        subscribers: 1,
                        messages: Some(3),
                        seed,
                        timeout: Duration::from_secs(1),
                        ..Load::default()
                    };
                    let measured = run(target.unwrap(), load).unwrap();
                    let (order, failure) = (&measured.results.order, measured.failure.as_ref());
                    assert!(
                        is_as_expected(order, failure),
                        "{percent} % with seed {seed}: {order:?} {failure:?}"
                    );
                }
            });
        }
    });
}

#[test]
fn a_server_that_drops_at_random_leaves_nobody_out() {
    for percent in [50, 90] {
        check(percent, 100, |order, failure| {
            matches!(order, Order::Proved { .. }) && failure.is_none()
        });
    }
}

#[test]
fn a_server_that_drops_everything_leaves_a_client_out() {
    check(
        100,
        20,
        |order, _| matches!(order, Order::Broken { class, .. } if class == "forgotten"),
    );
}

/// How many servers run at a time. They wait most of the time.
const AT_ONCE: u64 = 50;
