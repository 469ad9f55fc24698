//! The servers while they are under load, whatever they are.

use std::net::SocketAddr;
use std::time::Duration;

use chat_load::Addrs;
use chat_target::{Interrupt, Server, ServerError, Usage};

use crate::conduct::Departure;
use crate::failure::Failure;
use crate::target::{Served, Target};

/// The servers under load, most often one.
///
/// Invariant: there is at least one.
#[derive(Debug)]
pub(crate) struct Subjects(Vec<Subject>);

impl Subjects {
    /// Starts the servers that do not run already, all at once, and waits until all are ready.
    /// Returns their addresses.
    pub(crate) fn start(
        target: Target,
        timeout: Duration,
        interrupt: &Interrupt,
    ) -> Result<(Self, Addrs), Failure> {
        let mut members = Vec::new();
        add_members(target, &mut members);
        let mut subjects = members
            .into_iter()
            .map(|member| Subject::start(member, interrupt))
            .collect::<Result<Vec<_>, _>>()?;
        let addrs = subjects
            .iter_mut()
            .map(|subject| subject.wait_ready(timeout))
            .collect::<Result<Vec<_>, _>>()?;
        let addrs = Addrs::new(addrs).ok_or(Failure::NoServer)?;
        Ok((Self(subjects), addrs))
    }

    /// Tells whether one of the servers has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.0.iter_mut().any(Subject::has_ended)
    }

    /// Tells how one of the servers died, if one has, given that connections fail.
    pub(crate) fn death(&mut self) -> Option<ServerError> {
        // One that is known to have ended is the one, and the others are not waited for.
        let mut ended: Vec<&mut Subject> = self
            .0
            .iter_mut()
            .filter_map(|it| it.has_ended().then_some(it))
            .collect();
        if let [first, ..] = &mut *ended {
            return first.death();
        }
        self.0.iter_mut().find_map(Subject::death)
    }

    /// Begins to watch what the servers cost that were started.
    pub(crate) fn usages(&self, addrs: &Addrs) -> Vec<Usage> {
        let watched = self.0.iter().zip(addrs.iter());
        watched
            .filter_map(|(subject, addr)| subject.usage(addr))
            .collect()
    }

    /// Ends the servers that were started for the run, one after the other, and tells how they ended.
    pub(crate) fn end(&mut self, grace: Duration) -> Vec<Departure> {
        let departures = self.0.iter_mut().filter_map(|subject| subject.end(grace));
        departures.collect()
    }
}

/// Adds the servers of a target, in their order.
fn add_members(target: Target, members: &mut Vec<Target>) {
    match target {
        Target::Group(group) => group.into_iter().for_each(|it| add_members(it, members)),
        one => members.push(one),
    }
}

/// A server under load.
#[derive(Debug)]
enum Subject {
    /// A child process, until it was ended.
    Launched(Option<Server>),
    /// A thread of this process.
    Served(Served),
    /// It runs elsewhere.
    Running(SocketAddr),
}

impl Subject {
    /// Starts the server, if it does not run already.
    fn start(target: Target, interrupt: &Interrupt) -> Result<Self, Failure> {
        match target {
            Target::Running(addr) => Ok(Self::Running(addr)),
            Target::Served(served) => Ok(Self::Served(served)),
            Target::Launch(launch) => Ok(Self::Launched(Some(Server::start(&launch, interrupt)?))),
            Target::Group(_) => Err(Failure::NoServer),
        }
    }

    /// Waits until the server is ready, and returns its address.
    fn wait_ready(&mut self, timeout: Duration) -> Result<SocketAddr, Failure> {
        match self {
            Self::Running(addr) => Ok(*addr),
            Self::Served(served) => Ok(served.addr),
            Self::Launched(server) => {
                let server = server.as_mut().ok_or(Failure::NoServer)?;
                Ok(server.wait_ready(timeout)?)
            }
        }
    }

    /// Tells whether the server has ended.
    fn has_ended(&mut self) -> bool {
        match self {
            Self::Launched(server) => server
                .as_mut()
                .is_some_and(|server| server.exit_status().is_some()),
            Self::Served(served) => served.has_ended(),
            Self::Running(_) => false,
        }
    }

    /// Tells how the server died, if it has, given that its connections fail.
    fn death(&mut self) -> Option<ServerError> {
        match self {
            Self::Launched(server) => server.as_mut().and_then(Server::death),
            Self::Served(_) | Self::Running(_) => None,
        }
    }

    /// Begins to watch what the server costs that listens on `addr`, if that can be told.
    fn usage(&self, addr: SocketAddr) -> Option<Usage> {
        let mut usage = self.server()?.usage();
        usage.note_address(addr);
        Some(usage)
    }

    /// Ends a server that was started for the run, and tells how it ended.
    fn end(&mut self, grace: Duration) -> Option<Departure> {
        let mut server = match self {
            Self::Launched(server) => server.take()?,
            Self::Served(_) | Self::Running(_) => return None,
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
            Self::Served(_) | Self::Running(_) => None,
        }
    }
}
