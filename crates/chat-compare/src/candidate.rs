//! The servers that are compared.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use chat_results::comparison::Contender;
use chat_stress::{KnownServer, Launch, ProtocolName, Target};

/// A server to compare: how it is started for each round, or where it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    name: String,
    place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Executable {
        path: PathBuf,
        args: Vec<String>,
        /// How many are started that promise one order together, if it is a group.
        count: Option<u16>,
    },
    /// One that people know a protocol by, and its executable, if it is not the one in `$PATH`.
    Known(KnownServer, Option<PathBuf>),
    /// One, or several that promise one order together.
    Running(Vec<SocketAddr>),
}

impl Candidate {
    /// Makes one of an executable that is started for each round.
    pub fn executable(name: &str, path: impl Into<PathBuf>, args: Vec<String>) -> Self {
        Self {
            name: name.to_owned(),
            place: Place::Executable {
                path: path.into(),
                args,
                count: None,
            },
        }
    }

    /// Makes one of an executable of which a group of `count` is started for each round, as
    /// [`Launch::group`] says, and they promise one order together.
    pub fn group(name: &str, path: impl Into<PathBuf>, args: Vec<String>, count: u16) -> Self {
        Self {
            name: name.to_owned(),
            place: Place::Executable {
                path: path.into(),
                args,
                count: Some(count),
            },
        }
    }

    /// Makes one of a server that runs, or of several that promise one order together.
    pub fn running(name: &str, addrs: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self {
            name: name.to_owned(),
            place: Place::Running(addrs.into_iter().collect()),
        }
    }

    /// Makes one of a server that people know a protocol by, with settings that are fair.
    pub fn known(name: &str, server: KnownServer, executable: Option<PathBuf>) -> Self {
        Self {
            name: name.to_owned(),
            place: Place::Known(server, executable),
        }
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns it with another name.
    #[must_use]
    pub fn named(self, name: String) -> Self {
        Self { name, ..self }
    }

    /// Returns the protocol that it speaks.
    pub(crate) fn protocol(&self) -> ProtocolName {
        match &self.place {
            Place::Known(server, _) => server.protocol,
            Place::Executable { .. } | Place::Running(_) => ProtocolName::Chat,
        }
    }

    pub(crate) fn target(&self, guard: Option<&Path>) -> Target {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        match &self.place {
            Place::Running(addrs) => Target::running(addrs.iter().copied()),
            Place::Known(server, executable) => Target::Launch(Launch {
                guard: guard.map(Path::to_owned),
                ..server.launch(executable.clone(), addr)
            }),
            Place::Executable { path, args, count } => {
                let launch = Launch {
                    args: args.iter().map(OsString::from).collect(),
                    guard: guard.map(Path::to_owned),
                    ..Launch::new(path, addr)
                };
                match count {
                    Some(count) => Target::group_of(&launch, *count),
                    None => Target::Launch(launch),
                }
            }
        }
    }

    pub(crate) fn contender(&self) -> Contender {
        let command = match &self.place {
            Place::Running(addrs) => {
                let addrs: Vec<String> = addrs.iter().map(SocketAddr::to_string).collect();
                vec![format!("@{}", addrs.join(","))]
            }
            Place::Known(server, executable) => {
                let path = executable.as_ref().map(|path| path.display().to_string());
                vec![path.unwrap_or_else(|| server.executable.to_owned())]
            }
            Place::Executable { path, args, count } => {
                let count = count.map_or(String::new(), |count| format!("{count}*"));
                let path = format!("{count}{}", path.display());
                std::iter::once(path).chain(args.iter().cloned()).collect()
            }
        };
        let settings = match &self.place {
            Place::Known(server, _) => server.settings().map(str::to_owned).collect(),
            Place::Executable { .. } | Place::Running(_) => Vec::new(),
        };
        Contender {
            name: self.name.clone(),
            command,
            protocol: self.protocol().word().to_owned(),
            settings,
        }
    }
}

impl FromStr for Candidate {
    type Err = CandidateError;

    /// Reads `name=path args`, `name=N*path args` of a group, `name=@address,...`, `name=PROTOCOL:` with
    /// or without an executable behind it, or any of these without a name. Arguments are separated by
    /// spaces; there are no quotes.
    fn from_str(text: &str) -> Result<Self, CandidateError> {
        // A path before the sign is no name.
        let named = text
            .split_once('=')
            .filter(|(name, _)| !name.contains(['/', ' ', '@']));
        let (name, server) = named.map_or((None, text), |(name, server)| (Some(name), server));
        if name == Some("") {
            return Err(CandidateError::NoName);
        }
        if let Some(addr) = server.strip_prefix('@') {
            let addrs: Result<Vec<SocketAddr>, _> = addr.split(',').map(str::parse).collect();
            let addrs = addrs.map_err(|_| CandidateError::Address)?;
            return Ok(Self::running(name.unwrap_or(server), addrs));
        }
        let known = server.split_once(':').and_then(|(protocol, path)| {
            Some((ProtocolName::named(protocol)?.known_server()?, path))
        });
        if let Some((known, path)) = known {
            let executable = (!path.is_empty()).then(|| path.into());
            let name = name.unwrap_or(known.protocol.word());
            return Ok(Self::known(name, known, executable));
        }
        let (count, server) = match server.split_once('*') {
            Some((count, server)) if !count.contains(['/', ' ']) => {
                let count = count.parse().ok().filter(|it| (1..=GROUP_MAX).contains(it));
                (Some(count.ok_or(CandidateError::Count)?), server)
            }
            _ => (None, server),
        };
        let mut words = server.split_whitespace();
        let path = words.next().ok_or(CandidateError::NoServer)?;
        let base = Path::new(path).file_name().map(|it| it.to_string_lossy());
        let name = name.map_or_else(|| base.unwrap_or_default().into_owned(), str::to_owned);
        let args = words.map(str::to_owned).collect();
        Ok(match count {
            Some(count) => Self::group(&name, path, args, count),
            None => Self::executable(&name, path, args),
        })
    }
}

/// Why a text names no server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CandidateError {
    /// Nothing is before the sign.
    #[error("there is no name before the `=`")]
    NoName,
    /// Nothing is after it.
    #[error("a server is needed, like `name=./server args` or `name=@127.0.0.1:8080`")]
    NoServer,
    /// What runs is nowhere.
    #[error(
        "after `@`, an IP address and a port are needed, like @127.0.0.1:8080, or several with commas between them"
    )]
    Address,
    /// A group has a size that it cannot have.
    #[error("before `*`, a number of servers from 1 to {GROUP_MAX} is needed, like 3*./server")]
    Count,
}

/// How many servers a group can have. A judgement: more than one machine is for.
const GROUP_MAX: u16 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, name: &str, command: &[&str]) {
        let Contender {
            name: found,
            command: started,
            ..
        } = text.parse::<Candidate>().unwrap().contender();
        assert_eq!(
            (found.as_str(), started),
            (name, command.iter().map(|&it| it.to_owned()).collect())
        );
    }

    #[test]
    fn servers_are_named_or_called_by_their_file() {
        check("a=./x/server --n 4", "a", &["./x/server", "--n", "4"]);
        check("./x/server --n=4", "server", &["./x/server", "--n=4"]);
        check("a=@127.0.0.1:80", "a", &["@127.0.0.1:80"]);
        check("@[::1]:80", "@[::1]:80", &["@[::1]:80"]);
        check("a=server --key=value", "a", &["server", "--key=value"]);
        let group = ["3*./server", "--node", "{n}"];
        check("a=3*./server --node {n}", "a", &group);
        check("3*./server --node {n}", "server", &group);
        check("./a*b 2*3", "a*b", &["./a*b", "2*3"]);
        let addrs = "@127.0.0.1:80,[::1]:80";
        check(&format!("a={addrs}"), "a", &[addrs]);
        check("nats:", "nats", &["nats-server"]);
        check("a=redis:/opt/redis", "a", &["/opt/redis"]);
        let redis = "redis:".parse::<Candidate>().unwrap().contender();
        assert_eq!(redis.protocol, "redis");
        assert!(redis.settings.contains(&"appendonly no".to_owned()));
    }

    #[test]
    fn texts_that_name_no_server_are_told_of() {
        let fails = |text: &str| text.parse::<Candidate>().unwrap_err();
        assert_eq!(fails("=./server"), CandidateError::NoName);
        assert_eq!(fails(""), CandidateError::NoServer);
        assert_eq!(fails("a= "), CandidateError::NoServer);
        assert_eq!(fails("a=@localhost"), CandidateError::Address);
        assert_eq!(fails("a=@127.0.0.1:80,"), CandidateError::Address);
        for text in ["a=0*./server", "a=x*server", "65*server"] {
            assert_eq!(fails(text), CandidateError::Count);
        }
    }
}
