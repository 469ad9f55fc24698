//! How a server is started.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use chat_results::random_seed;

use crate::server_error::ServerError;

/// How to start a server.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The executable.
    pub executable: PathBuf,
    /// What it is given before the address.
    pub args: Vec<OsString>,
    /// The address it is told to listen on.
    pub addr: SocketAddr,
    /// How it is told so, and how it tells that it does.
    pub convention: Convention,
    /// What to do where the executable is not there, if more can be said than that it is not. A
    /// sentence without its end.
    pub advice: &'static str,
    /// Where everything goes that it prints on standard error; only the last lines are kept
    /// otherwise.
    pub log: Option<PathBuf>,
    /// The executable of a process that ends the server if this one is killed: it has to ask
    /// [`guard::run`](crate::guard::run) first.
    pub guard: Option<PathBuf>,
}

impl Launch {
    /// Makes one without arguments, log and guard.
    pub fn new(executable: impl Into<PathBuf>, addr: SocketAddr) -> Self {
        Self {
            executable: executable.into(),
            args: Vec::new(),
            addr,
            convention: Convention::Chat,
            advice: "",
            log: None,
            guard: None,
        }
    }

    /// Returns how to start `count` servers that belong together, of which this is the pattern.
    ///
    /// In the arguments, `{n}` stands for the number of the server in the group, from 1, and `{run}`
    /// for a word that no other group has, so that a group that keeps something under a name finds
    /// nothing of an earlier one. Each listens on a port of its own: the next after that of the server
    /// before, unless the port is 0. The log of server `n` is `LOG.n`.
    ///
    /// # Examples
    ///
    /// ```
    /// use chat_target::Launch;
    ///
    /// let launch = Launch {
    ///     args: vec!["--node".into(), "{n}".into()],
    ///     ..Launch::new("chat-server", "127.0.0.1:8080".parse().unwrap())
    /// };
    /// let group = launch.group(2);
    /// assert_eq!((group[1].args[1].to_str(), group[1].addr.port()), (Some("2"), 8081));
    /// ```
    pub fn group(&self, count: u16) -> Vec<Self> {
        let run = format!("{:016x}", random_seed());
        (1..=count)
            .map(|number| self.member(number, &run))
            .collect()
    }

    fn member(&self, number: u16, run: &str) -> Self {
        let mut addr = self.addr;
        if addr.port() != 0 {
            // One beyond the last port cannot be listened on, and is told of when that is tried.
            addr.set_port(addr.port().saturating_add(number - 1));
        }
        let log = self.log.as_ref().map(|log| {
            let mut log = log.clone().into_os_string();
            log.push(format!(".{number}"));
            log.into()
        });
        Self {
            args: self
                .args
                .iter()
                .map(|arg| filled_in(arg, number, run))
                .collect(),
            addr,
            log,
            ..self.clone()
        }
    }

    /// Starts the executable, with its configuration on standard input.
    pub(crate) fn spawn(&self, addr: SocketAddr) -> io::Result<Child> {
        let mut command = Command::new(&self.executable);
        command.args(&self.args);
        let config = match &self.convention {
            Convention::Chat | Convention::ChatOverTls => {
                command.arg(addr.to_string()).stdin(Stdio::null());
                None
            }
            Convention::Config(config) => {
                command.stdin(Stdio::piped());
                let config = config.replace("{ip}", &addr.ip().to_string());
                Some(config.replace("{port}", &addr.port().to_string()))
            }
        };
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        if let (Some(config), Some(mut stdin)) = (config, child.stdin.take()) {
            // A pipe holds more than that, so this does not block. A server that does not read it
            // does not get ready, and then its last lines are told.
            let _ = stdin.write_all(config.as_bytes());
        }
        Ok(child)
    }

    /// Returns the address to listen on, which nobody listens on yet. A server that says what it
    /// listens on chooses a port itself.
    pub(crate) fn choose_addr(&self) -> Result<SocketAddr, ServerError> {
        if !matches!(self.convention, Convention::Config(_)) {
            return Ok(self.addr);
        }
        // Otherwise another server may accept what is meant for this one.
        let listener = TcpListener::bind(self.addr);
        let addr = listener.and_then(|listener| listener.local_addr());
        addr.map_err(|source| ServerError::Unavailable {
            addr: self.addr,
            source,
        })
    }
}

/// Fills in what stands for the number of a server and for its group. An argument that is no text has
/// nothing to fill in.
fn filled_in(arg: &OsStr, number: u16, run: &str) -> OsString {
    match arg.to_str() {
        Some(arg) => arg
            .replace("{n}", &number.to_string())
            .replace("{run}", run)
            .into(),
        None => arg.to_owned(),
    }
}

/// How a server is told an address, and how it tells that it listens there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Convention {
    /// That of the chat: the address is the last argument, and the server prints `listening on
    /// ADDRESS`. It chooses the port if that is 0.
    #[default]
    Chat,
    /// That of the chat, for clients over TLS: the server gets the address and whatever arguments have it
    /// speak TLS somewhere, and prints `listening on ADDRESS with TLS`. It may print the ready line of its
    /// plain address, too.
    ChatOverTls,
    /// The server reads this configuration from standard input, in which `{ip}` and `{port}` stand
    /// for the address, and accepts connections when it is ready. A configuration has
    /// up to 4096 bytes, which any pipe holds. If the port is 0, a free one is chosen before; another process
    /// may take it first, and then the server says so.
    Config(String),
}

impl Convention {
    /// Returns how the line ends that tells where clients connect, for those that have one.
    pub(crate) fn ready_suffix(&self) -> &'static str {
        match self {
            Self::ChatOverTls => " with TLS",
            Self::Chat | Self::Config(_) => "",
        }
    }

    /// Returns how many ready lines a server may print.
    pub(crate) fn ready_lines_max(&self) -> u64 {
        match self {
            Self::ChatOverTls => 2,
            Self::Chat | Self::Config(_) => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;
    use crate::interrupt::Interrupt;
    use crate::server::Server;

    #[test]
    fn a_group_has_numbers_ports_logs_and_a_word_of_its_own() {
        let launch = Launch {
            args: vec!["--stream={run}".into(), "node-{n}".into()],
            log: Some("/tmp/log".into()),
            ..Launch::new("sh", SocketAddr::from((Ipv4Addr::LOCALHOST, 7)))
        };
        let group = launch.group(3);
        let ports: Vec<u16> = group.iter().map(|it| it.addr.port()).collect();
        assert_eq!(ports, [7, 8, 9]);
        assert_eq!(group[2].args[1], "node-3");
        assert_eq!(group[2].log, Some("/tmp/log.3".into()));
        assert_eq!(group[0].args[0], group[2].args[0]);
        assert_ne!(group[0].args[0], launch.args[0]);
        assert_ne!(group[0].args[0], launch.group(1)[0].args[0]);

        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let launch = Launch {
            addr: anywhere,
            ..launch
        };
        assert!(launch.group(2).iter().all(|it| it.addr == anywhere));
    }

    #[test]
    fn a_server_may_be_told_the_address_by_its_configuration() {
        let script = "read -r ip port; echo told $ip $port >&2; exit 7";
        let log = std::env::temp_dir().join(format!("config-{}", std::process::id()));
        let launch = Launch {
            args: vec!["-c".into(), script.into()],
            convention: Convention::Config("{ip} {port}\n".to_owned()),
            log: Some(log.clone()),
            ..Launch::new("sh", SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        };
        let mut server = Server::start(&launch, &Interrupt::never()).unwrap();
        let addr = server.awaited.unwrap();
        let error = server.wait_ready(Duration::from_secs(30)).unwrap_err();
        assert!(matches!(error, ServerError::ExitedEarly { .. }), "{error}");
        drop(server);
        let told = std::fs::read_to_string(&log).unwrap();
        std::fs::remove_file(&log).unwrap();
        assert_eq!(told, format!("told 127.0.0.1 {}\n", addr.port()));

        // What accepts is ready. Here, that is somebody else, who came later.
        let script = "read -r ip port; sleep 600";
        let launch = Launch {
            args: vec!["-c".into(), script.into()],
            ..launch
        };
        let mut server = Server::start(&launch, &Interrupt::never()).unwrap();
        std::fs::remove_file(&log).unwrap();
        let addr = server.awaited.unwrap();
        let _listener = TcpListener::bind(addr).unwrap();
        assert_eq!(server.wait_ready(Duration::from_secs(30)).unwrap(), addr);

        // And who was there before is no server of ours.
        let launch = Launch { addr, ..launch };
        let error = Server::start(&launch, &Interrupt::never()).unwrap_err();
        let _ = std::fs::remove_file(&log);
        assert!(matches!(error, ServerError::Unavailable { .. }), "{error}");
    }
}
