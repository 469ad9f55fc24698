//! The threads that run the sessions.
//!
//! Sockets and timers are async-std's, which are async-io's; tasks run on the executor that
//! async-std has too. But where async-std would poll for I/O each time that a task has run, these
//! threads run all tasks that can run before they do: one look at the sockets for a batch
//! of messages, by the thread that then serves them. With single messages that costs a tenth less
//! processor time than leaving the looking to the thread that async-io has for it, and with batches
//! of eight bytes as well.

use std::future::Future;
use std::panic::{self, AssertUnwindSafe};
use std::thread;

use async_executor::{StaticExecutor, Task};
use async_io::block_on;
use async_std::task::yield_now;

use crate::limits::{ThreadsError, session_thread_count};

#[cfg(not(panic = "unwind"))]
compile_error!("a session that panics must not end those of others: build with panic = \"unwind\"");

/// Starts a thread for each processor, to run the tasks that are spawned.
pub(crate) fn start() -> Result<(), ThreadsError> {
    let needed = session_thread_count();
    for index in 0..needed {
        thread::Builder::new()
            .name(format!("session-{index}"))
            .spawn(run_for_ever)
            .map_err(|source| ThreadsError { needed, source })?;
    }
    Ok(())
}

/// Runs a future to its end on one of the threads, unless the task is dropped before.
pub(crate) fn spawn<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
) -> Task<T> {
    EXECUTOR.spawn(future)
}

fn run_for_ever() {
    loop {
        // The executor drops a task that panics, with all that it has, and goes on. This is for a panic
        // of anything else. Both are logged.
        let _ = panic::catch_unwind(AssertUnwindSafe(|| block_on(run())));
    }
}

/// Runs tasks. Where it waits, the thread looks after sockets and timers.
async fn run() {
    let mut left = TICKS_MAX;
    loop {
        if left == 0 {
            // Tasks that always can run are not to keep the others from their sockets.
            yield_now().await;
            left = TICKS_MAX;
        }
        EXECUTOR.tick().await;
        left -= 1;
        while left > 0 && EXECUTOR.try_tick() {
            left -= 1;
        }
    }
}

static EXECUTOR: StaticExecutor = StaticExecutor::new();

/// How many tasks run at most before the thread looks after sockets again. A judgement: a look
/// costs some microseconds, as a task does that writes one message; one that writes as much as a
/// socket takes costs a hundred times that.
const TICKS_MAX: u32 = 64;

#[cfg(test)]
mod tests {
    use std::io::{self, Read, Write};
    use std::net::{IpAddr, Ipv4Addr, Shutdown, TcpListener, TcpStream};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use async_std::net::TcpStream as AsyncTcpStream;
    use chat_hub::Hub;
    use chat_session::Session;
    use futures::executor::block_on as block_on_here;
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;
    use crate::clients::Clients;
    use crate::logging::log_panic;
    use crate::socket::Socket;

    const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// A log in memory, shared by its clones.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(buf)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Log {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    /// Returns the two ends of a connection.
    fn connect(listener: &TcpListener) -> (TcpStream, AsyncTcpStream) {
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        (client, listener.accept().unwrap().0.into())
    }

    #[test]
    fn a_session_that_panics_ends_alone_and_leaves_nothing_behind() {
        let listener = TcpListener::bind((LOCALHOST, 0)).unwrap();
        let (clients, hub) = (Clients::default(), Hub::default());
        let log = Log::default();
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            log_panic(panic);
            print(panic);
        }));
        let (mut good, stream) = connect(&listener);
        let session = Session::new(Socket::new(stream), &hub);
        let entry = clients.add(LOCALHOST);
        let serving = spawn(async move {
            let _entry = entry;
            session.await.map_err(drop)
        });
        let (mut bad, stream) = connect(&listener);
        let (session, entry) = (
            Session::new(Socket::new(stream), &hub),
            clients.add(LOCALHOST),
        );
        let held = (session, entry);
        spawn(async move {
            let _held = held;
            panic!("as if there were a bug");
        })
        .detach();

        let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).finish();
        thread::spawn(|| tracing::subscriber::with_default(subscriber, run_for_ever));
        // Its connection is closed, and it is no client any more.
        assert_eq!(bad.read(&mut [0]).unwrap(), 0);
        good.write_all(b"\x05hello").unwrap();
        let mut received = [0; 6];
        good.read_exact(&mut received).unwrap();
        assert_eq!(&received, b"\x05hello");
        assert_eq!((clients.count(), hub.stats().subscriber_count), (1, 1));
        good.shutdown(Shutdown::Write).unwrap();
        assert!(block_on_here(serving).is_ok());
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert_eq!(log.matches("as if there were a bug").count(), 1, "{log}");
        assert!(log.contains("ERROR") && log.contains("runtime.rs"), "{log}");
    }
}
