//! Servers of other protocols, that people would otherwise pick.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use chat_target::{Convention, Launch};

/// Which protocol a server speaks.
///
/// A load is the same in all of them: every client subscribes to one subject, and publishers publish
/// to it. The order of what arrives is proved in the same way. Those rules of the specification that
/// are conventions of the chat are tested on the chat only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProtocolName {
    /// The chat.
    #[default]
    Chat,
    /// NATS.
    Nats,
    /// Redis, its third version: RESP3.
    Redis,
    /// MQTT 3.1.1 with QoS 0.
    Mqtt,
}

impl ProtocolName {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Chat, Self::Nats, Self::Redis, Self::Mqtt];

    /// Returns its word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Nats => "nats",
            Self::Redis => "redis",
            Self::Mqtt => "mqtt",
        }
    }

    /// Returns the one with this word.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|protocol| protocol.word() == word)
    }

    /// Returns the server that people know this protocol by. The chat has many.
    pub fn known_server(self) -> Option<KnownServer> {
        match self {
            Self::Chat => None,
            Self::Nats => Some(NATS_SERVER),
            Self::Redis => Some(REDIS_SERVER),
            Self::Mqtt => Some(MOSQUITTO),
        }
    }
}

impl fmt::Display for ProtocolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A product, and how to start it for a fair comparison: it stores nothing, logs errors only, holds
/// back no small write, and keeps up to 64 MiB for a client that does not read, where it has such a
/// limit in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownServer {
    /// The protocol that it speaks.
    pub protocol: ProtocolName,
    /// The name of its executable, which is looked for in `$PATH`.
    pub executable: &'static str,
    /// Its configuration, see [`Convention::Config`].
    pub config: &'static str,
    /// How to get it, in a sentence without its end.
    pub advice: &'static str,
    /// What has it read its configuration from standard input.
    args: &'static [&'static str],
}

impl KnownServer {
    /// Tells how to start it: `executable`, if it is not to be the one in `$PATH`. More arguments
    /// come behind those that are there.
    pub fn launch(self, executable: Option<PathBuf>, addr: SocketAddr) -> Launch {
        let executable = executable.unwrap_or_else(|| self.executable.into());
        Launch {
            args: self.args.iter().map(Into::into).collect(),
            convention: Convention::Config(self.config.to_owned()),
            advice: self.advice,
            ..Launch::new(executable, addr)
        }
    }

    /// Returns its settings, but for the address.
    pub fn settings(self) -> impl Iterator<Item = &'static str> {
        settings(self.config)
    }
}

/// Returns the lines of a configuration that have no part of an address.
pub(crate) fn settings(config: &str) -> impl Iterator<Item = &str> {
    config.lines().filter(|line| !line.contains('{'))
}

/// It always sets TCP_NODELAY. A client that takes nothing for 10 s is disconnected.
const NATS_SERVER: KnownServer = KnownServer {
    protocol: ProtocolName::Nats,
    executable: "nats-server",
    config: "\
host: \"{ip}\"
port: {port}
max_pending: 64MB
write_deadline: \"10s\"
debug: false
trace: false
",
    advice: "install NATS (in Debian and Ubuntu, the package nats-server, whose directory /usr/sbin may not be in $PATH), name \
             another executable, or give --connect an address where it runs",
    args: &["-c", "/dev/stdin"],
};

/// It always sets TCP_NODELAY.
const REDIS_SERVER: KnownServer = KnownServer {
    protocol: ProtocolName::Redis,
    executable: "redis-server",
    config: "\
bind {ip}
port {port}
save \"\"
appendonly no
client-output-buffer-limit pubsub 64mb 0 0
loglevel warning
",
    advice: "install Redis 7 or later (in Debian and Ubuntu, the package redis-server), name another executable, or give --connect an \
             address where it runs",
    args: &["-"],
};

/// It would drop messages for a client whose queue of 1000 is full, which is what a reader that keeps up
/// may have under a load of many messages in flight. So there is no such limit, and what it keeps for a client
/// that does not read is not limited either.
const MOSQUITTO: KnownServer = KnownServer {
    protocol: ProtocolName::Mqtt,
    executable: "mosquitto",
    config: "\
listener {port} {ip}
allow_anonymous true
set_tcp_nodelay true
persistence false
max_queued_messages 0
log_type error
",
    advice: "install Mosquitto 2 (in Debian and Ubuntu, the package mosquitto, whose directory /usr/sbin may not be in $PATH), name \
             another executable, or give --connect an address where another broker runs",
    args: &["-c", "/dev/stdin"],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_protocol_has_a_word_and_every_other_one_a_server() {
        for protocol in ProtocolName::ALL {
            assert_eq!(ProtocolName::named(protocol.word()), Some(protocol));
            let known = protocol.known_server().map(|known| known.protocol);
            assert_eq!(known, Some(protocol).filter(|it| *it != ProtocolName::Chat));
        }
        assert_eq!(ProtocolName::named("amqp"), None);
    }

    #[test]
    fn configurations_have_the_address_and_fit_into_a_pipe() {
        for known in ProtocolName::ALL
            .into_iter()
            .filter_map(ProtocolName::known_server)
        {
            let config = known.config;
            assert!(
                config.contains("{ip}") && config.contains("{port}"),
                "{config}"
            );
            assert!(
                config.len() <= 4096 && known.settings().count() >= 4,
                "{config}"
            );
            assert!(
                known.settings().all(|line| !line.contains("port")),
                "{config}"
            );
        }
    }
}
