//! What every server of the gallery needs and no style differs in: its one argument, its exit
//! codes, a listener, the ready line and the limit on open files.
//!
//! How a server ends is a matter of its style. Only for those that have no signals of their own is there
//! [`ending`].

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::{env, fmt};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Listens on the address of the command line and has `serve` do the rest: first get ready for
/// signals, then call [`ready`], then serve until one comes.
pub fn run(serve: impl FnOnce(TcpListener) -> io::Result<()>) -> ExitCode {
    let mut args = env::args().skip(1);
    let (Some(Ok(address)), None) = (args.next().map(|arg| arg.parse()), args.next()) else {
        eprintln!("usage: SERVER ADDRESS, an IP address and a port like 127.0.0.1:8080");
        return ExitCode::from(2);
    };
    raise_open_files();
    match listen(address).and_then(serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(error);
            ExitCode::FAILURE
        }
    }
}

/// Says that clients can connect, with the address, in which the system may have chosen the port.
pub fn ready(listener: &TcpListener) -> io::Result<()> {
    let address = listener.local_addr()?;
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "listening on {address}")?;
    stdout.flush()
}

/// Gets ready for SIGINT and SIGTERM, and returns a function that waits for one of them. The next one
/// ends the process at once.
#[cfg(feature = "signals")]
pub fn ending() -> io::Result<impl FnOnce() + Send> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::flag;

    let is_ending = std::sync::Arc::default();
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(
            signal,
            128 + signal,
            std::sync::Arc::clone(&is_ending),
        )?;
        flag::register(signal, std::sync::Arc::clone(&is_ending))?;
    }
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    Ok(move || _ = signals.forever().next())
}

/// Prints an error. That nobody reads it is no reason to end.
pub fn tell(error: impl fmt::Display) {
    _ = writeln!(io::stderr(), "error: {error}");
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
    })
}

/// Lets the process have as many descriptors as the system allows: each client is one.
fn raise_open_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // With fewer, there are fewer clients.
    _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    );
}
