//! The server while it is under load, whatever it is.

use std::net::SocketAddr;
use std::time::Duration;

use chat_target::{Interrupt, Server, ServerError, Usage};

use crate::conduct::Departure;

use crate::target::{Served, Target};

/// The server under load.
#[derive(Debug)]
pub(crate) enum Subject {
    /// A child process, until it was ended.
    Launched(Option<Server>),
    /// A thread of this process.
    Served(Served),
    /// It runs elsewhere.
    Running,
}

impl Subject {
    /// Starts the server, if it does not run already, and returns its address.
    pub(crate) fn start(
        target: Target,
        timeout: Duration,
        interrupt: &Interrupt,
    ) -> Result<(Self, SocketAddr), ServerError> {
        match target {
            Target::Running(addr) => Ok((Self::Running, addr)),
            Target::Served(served) => {
                let addr = served.addr;
                Ok((Self::Served(served), addr))
            }
            Target::Launch(launch) => {
                let mut server = Server::start(&launch, interrupt)?;
                let addr = server.wait_ready(timeout)?;
                Ok((Self::Launched(Some(server)), addr))
            }
        }
    }

    /// Tells whether the server has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        match self {
            Self::Launched(server) => server
                .as_mut()
                .is_some_and(|server| server.exit_status().is_some()),
            Self::Served(served) => served.has_ended(),
            Self::Running => false,
        }
    }

    /// Tells how the server died, if it has, given that its connections fail.
    pub(crate) fn death(&mut self) -> Option<ServerError> {
        match self {
            Self::Launched(server) => server.as_mut().and_then(Server::death),
            Self::Served(_) | Self::Running => None,
        }
    }

    /// Begins to watch what the server costs that listens on `addr`, if that can be told.
    pub(crate) fn usage(&self, addr: SocketAddr) -> Option<Usage> {
        let mut usage = self.server()?.usage();
        usage.note_address(addr);
        Some(usage)
    }

    /// Ends a server that was started for the run, and tells how it ended.
    pub(crate) fn end(&mut self, grace: Duration) -> Option<Departure> {
        let mut server = match self {
            Self::Launched(server) => server.take()?,
            Self::Served(_) | Self::Running => return None,
        };
        let ending = server.end(grace);
        // It waits for the last of them, and so comes first.
        let lines = server.last_lines();
        Some(Departure {
            ending,
            grace,
            line_count: server.stdout_line_count(),
            line_count_max: server.ready_lines_max(),
            log_error: server.log_error(),
            lines,
        })
    }

    fn server(&self) -> Option<&Server> {
        match self {
            Self::Launched(server) => server.as_ref(),
            Self::Served(_) | Self::Running => None,
        }
    }
}
