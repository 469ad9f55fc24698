//! Telling the service manager how the server is, as systemd wants to be told.
//!
//! Where nobody asks for it, by the variable `NOTIFY_SOCKET`, nothing of this runs. There is a crate for
//! it, but it opens a socket for each message: a server that is out of descriptors would be killed for
//! its silence. Source: sd_notify(3).

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tracing::{error, warn};

use crate::inside::View;
use crate::runtime::Places;

/// The service manager, if there is one that wants to be told. It is shared by its clones.
#[derive(Clone, Debug)]
pub(crate) struct ServiceManager {
    socket: Option<Arc<UnixDatagram>>,
}

impl ServiceManager {
    /// Finds the service manager that has started this process.
    pub(crate) fn find() -> Self {
        let socket = env::var_os("NOTIFY_SOCKET").and_then(|name| match connect(&name) {
            Ok(socket) => Some(Arc::new(socket)),
            Err(error) => {
                warn!("cannot reach the service manager at {name:?}: {error}");
                None
            }
        });
        Self { socket }
    }

    /// Tells that the server serves.
    pub(crate) fn ready(&self) {
        self.tell("READY=1");
    }

    /// Tells that the server reads its configuration again. It is `ready` after that.
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let now = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={now}"));
    }

    /// Tells that the server ends, and how long that may take.
    pub(crate) fn stopping(&self, time_max: Duration) {
        let micros = time_max.saturating_add(END_MARGIN).as_micros();
        self.tell(&format!(
            "STOPPING=1\nSTATUS=ending\nEXTEND_TIMEOUT_USEC={micros}"
        ));
    }

    /// Tells from now on how many clients there are, and, where the service manager wants that, that
    /// the threads that serve them take turns.
    ///
    /// # Errors
    ///
    /// When there is no thread for it.
    pub(crate) fn keep_told(&self, view: &View) -> io::Result<()> {
        if self.socket.is_none() {
            return Ok(());
        }
        let (manager, view) = (self.clone(), view.clone());
        let period = watchdog_period();
        let thread = thread::Builder::new().name("notify".to_owned());
        let keep_telling = move || {
            manager.tell(&status(&view));
            loop {
                match period {
                    Some(period) => manager.tell_liveness(&view, period),
                    None => {
                        thread::sleep(STATUS_PERIOD);
                        manager.tell(&status(&view));
                    }
                }
            }
        };
        thread.spawn(keep_telling).map(drop)
    }

    /// Tells after a period that the server is alive, if it is.
    fn tell_liveness(&self, view: &View, period: Duration) {
        let before = Places::look();
        thread::sleep(period);
        if view.is_alive() && !Places::look().is_any_stuck_since(&before) {
            self.tell(&format!("WATCHDOG=1\n{}", status(view)));
        } else {
            error!(
                "the threads that serve clients do not take turns, which is a bug of this server"
            );
        }
    }

    fn tell(&self, what: &str) {
        let Some(socket) = &self.socket else {
            return;
        };
        if let Err(error) = socket.send(what.as_bytes()) {
            warn!("cannot tell the service manager how the server is: {error}");
        }
    }
}

/// Says in a line how the server is.
fn status(view: &View) -> String {
    let (clients, laggards) = view.counts();
    let clients_noun = if clients == 1 { "client" } else { "clients" };
    match laggards {
        0 => format!("STATUS={clients} {clients_noun}"),
        laggards => format!("STATUS={clients} {clients_noun}, {laggards} do not keep up"),
    }
}

fn connect(name: &OsStr) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address(name)?)?;
    socket.set_write_timeout(Some(TELL_TIMEOUT))?;
    Ok(socket)
}

/// Returns the address of a socket: a path, or a name after `@` that is in no file system.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Some(name) = name.as_encoded_bytes().strip_prefix(b"@") {
        #[cfg(target_os = "android")]
        use std::os::android::net::SocketAddrExt;
        #[cfg(target_os = "linux")]
        use std::os::linux::net::SocketAddrExt;
        return SocketAddr::from_abstract_name(name);
    }
    SocketAddr::from_pathname(name)
}

/// Returns how often the service manager is told that the server is alive, if it wants that: twice in
/// the time after which it takes silence for death.
fn watchdog_period() -> Option<Duration> {
    let number = |name| env::var(name).ok()?.parse::<u64>().ok();
    let own = u64::from(process::id());
    if number("WATCHDOG_PID").is_some_and(|pid| pid != own) {
        return None;
    }
    let micros = number("WATCHDOG_USEC").filter(|&micros| micros > 0)?;
    Some(Duration::from_micros(micros) / 2)
}

/// How often the service manager is told how many clients there are. A judgement: people look at it.
const STATUS_PERIOD: Duration = Duration::from_secs(10);

/// How long a message may wait for the service manager to take it. A judgement: it has a queue.
const TELL_TIMEOUT: Duration = Duration::from_secs(1);

/// How much longer than clients may take to drain the end may take: they are cut off, and the log is
/// written. A judgement.
const END_MARGIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use chat_hub::Hub;

    use crate::admission::Admission;
    use crate::runtime::tests::stick;

    use super::*;

    #[test]
    fn a_server_with_a_thread_that_is_stuck_is_not_told_to_be_alive() {
        let (socket, told) = UnixDatagram::pair().unwrap();
        told.set_nonblocking(true).unwrap();
        let manager = ServiceManager {
            socket: Some(Arc::new(socket)),
        };
        let view = View::new(Hub::default(), Admission::default(), "oldest", None);
        let mut buf = [0; 64];
        let mut tell = || {
            manager.tell_liveness(&view, Duration::from_millis(10));
            let len = told.recv(&mut buf).ok()?;
            Some(String::from_utf8_lossy(&buf[..len]).into_owned())
        };
        let release = stick();
        assert_eq!(tell(), None);
        drop(release);
        let start = Instant::now();
        let text = loop {
            if let Some(text) = tell() {
                break text;
            }
            assert!(start.elapsed() < Duration::from_secs(60));
        };
        assert_eq!(text, "WATCHDOG=1\nSTATUS=0 clients");
    }
}
