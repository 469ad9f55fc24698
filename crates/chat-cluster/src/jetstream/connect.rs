//! The connection to NATS, and the stream at its other end.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::path::Path;
use std::time::Duration;
use std::{fs, io};

use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::stream::{Info, LastRawMessageErrorKind};
use async_nats::jetstream::{self, Context, ErrorCode};
use async_nats::{
    Client, ClientError, ConnectErrorKind, ConnectOptions, Event, ServerAddr, ServerError,
};
use bytes::Bytes;
use nkeys::KeyPair;
use tokio::sync::mpsc;

use super::stream::{self, ENTRY_LEN_MAX, RefuseError};
use super::{End, Login, Secret, Settings, TlsFiles};
use crate::StreamInfo;

/// Why something did not succeed now.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It never will, until somebody changes something.
    Final(End),
    /// It may later; what it is if it does not.
    Passing(End),
}

/// What happens to the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Connection {
    Lost,
    Made,
    /// The server refuses to do something.
    Refused(String),
}

/// Connects to the first server that answers. What happens to the connection later is told.
pub(super) async fn connect(
    settings: &Settings,
    events: mpsc::Sender<Connection>,
) -> Result<Client, Trouble> {
    let options = options(settings).map_err(Trouble::Final)?;
    let addresses = settings.servers.iter().map(|server| server.as_str());
    let addresses = addresses.filter_map(|server| server.parse::<ServerAddr>().ok());
    let addresses: Vec<_> = addresses.collect();
    let options = options
        .name(format!("chat-cluster {}", settings.node))
        .ping_interval(PING_INTERVAL)
        .connection_timeout(REQUEST_TIMEOUT)
        .request_timeout(Some(REQUEST_TIMEOUT))
        .reconnect_delay_callback(|attempt| RECONNECT_PAUSE * u32::from(attempt > 1))
        .event_callback(move |event| {
            // There is always room: they are taken at once.
            let _ = connection(event).map(|event| events.try_send(event));
            std::future::ready(())
        });
    let connected = options.connect(addresses).await;
    connected.map_err(|error| {
        let (servers, why) = (settings.server_list(), with_sources(&error));
        let why = format!("no connection to NATS at {servers}: {why}");
        match error.kind() {
            ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                Trouble::Final(End::Login(
                    "NATS does not accept the credentials".to_owned(),
                ))
            }
            _ => Trouble::Passing(End::Unreachable(why)),
        }
    })
}

fn connection(event: Event) -> Option<Connection> {
    match event {
        Event::Connected => Some(Connection::Made),
        Event::Disconnected | Event::Closed => Some(Connection::Lost),
        Event::ServerError(ServerError::Other(why)) => Some(Connection::Refused(why)),
        // It connects anew and is not let in. All other reasons say that nobody is there.
        Event::ClientError(ClientError::Other(why)) if is_about_login(&why) => {
            Some(Connection::Refused(why))
        }
        _ => None,
    }
}

/// Makes the options of a connection, and reads the files that they take.
pub(super) fn options(settings: &Settings) -> Result<ConnectOptions, End> {
    let options = ConnectOptions::new();
    let mut options = match &settings.login {
        Login::None => options,
        Login::Credentials(path) => read_credentials(options, path)
            .map_err(|error| End::Login(format!("{}: {error}", path.display())))?,
        Login::Nkey(seed) => options.nkey(read_nkey(seed)?),
        Login::User { name, password } => options.user_and_password(name.clone(), password.read()?),
        Login::Token(token) => options.token(token.read()?),
    };
    let files = &settings.tls;
    if *files == TlsFiles::default() {
        return Ok(options);
    }
    files.check()?;
    if let Some(ca) = &files.ca {
        options = options.add_root_certificates(ca.clone());
    }
    if let Some((cert, key)) = &files.client {
        options = options.add_client_certificate(cert.clone(), key.clone());
    }
    // Where there are certificates, nothing is to go without TLS.
    Ok(options.require_tls(true))
}

/// Returns whether it is credentials that keep a client from connecting.
fn is_about_login(why: &str) -> bool {
    let kinds = [
        ConnectErrorKind::Authentication,
        ConnectErrorKind::AuthorizationViolation,
    ];
    kinds.iter().any(|kind| why == kind.to_string())
}

/// Reads the seed of a key. The client of NATS would take any text for one, and be told that it is not accepted.
fn read_nkey(seed: &Secret) -> Result<String, End> {
    let text = seed.read()?;
    match KeyPair::from_seed(&text) {
        Ok(_) => Ok(text),
        Err(error) => Err(End::Login(format!(
            "what {seed} has is no seed of a key: {error}"
        ))),
    }
}

fn read_credentials(options: ConnectOptions, path: &Path) -> io::Result<ConnectOptions> {
    options.credentials(&fs::read_to_string(path)?)
}

/// Makes what requests to JetStream go through.
pub(super) fn context(settings: &Settings, client: &Client) -> Context {
    let context = match (&settings.api_prefix, &settings.domain) {
        (Some(prefix), _) => jetstream::with_prefix(client.clone(), prefix),
        (None, Some(domain)) => jetstream::with_domain(client.clone(), domain),
        (None, None) => jetstream::new(client.clone()),
    };
    let mut context = context;
    context.set_timeout(REQUEST_TIMEOUT);
    context
}

/// Finds the stream or creates it, and checks it. Returns what it says of itself.
pub(super) async fn find_stream(
    settings: &Settings,
    client: &Client,
    context: &Context,
) -> Result<StreamInfo, Trouble> {
    let max_payload = client.server_info().max_payload;
    if max_payload < ENTRY_LEN_MAX {
        return Err(Trouble::Final(End::Refused(RefuseError {
            stream: settings.stream.to_string(),
            setting: "max_payload",
            has: max_payload.to_string(),
            needs: format!("at least {ENTRY_LEN_MAX} at each server of NATS"),
            reason: "a batch would not fit",
        })));
    }
    let info = match look(settings, context).await? {
        Some(info) => info,
        None => match create(settings, context).await? {
            Some(info) => info,
            // Another node was quicker, and its stream is as good.
            None => look(settings, context).await?.ok_or_else(half_created)?,
        },
    };
    stream::check(&info.config, settings).map_err(|error| Trouble::Final(error.into()))?;
    Ok(stream_info(&info))
}

/// Returns what NATS says of the stream, if it is there.
async fn look(settings: &Settings, context: &Context) -> Result<Option<Info>, Trouble> {
    let error = match context.get_stream(settings.stream.as_str()).await {
        Ok(stream) => return Ok(Some(stream.cached_info().clone())),
        Err(error) => error,
    };
    match error.kind() {
        GetStreamErrorKind::JetStream(error)
            if error.error_code() == ErrorCode::STREAM_NOT_FOUND =>
        {
            Ok(None)
        }
        _ => Err(no_answer(&error)),
    }
}

/// Creates the stream; returns what NATS says of it, or `None` when there is one of that name.
async fn create(settings: &Settings, context: &Context) -> Result<Option<Info>, Trouble> {
    use jetstream::context::CreateStreamErrorKind;
    let mut config = stream::config(settings);
    config.description = Some(stream::description(draw()));
    let created = context.create_stream(config).await;
    let error = match created {
        Ok(stream) => return Ok(Some(stream.cached_info().clone())),
        Err(error) => error,
    };
    let why = with_sources(&error);
    let CreateStreamErrorKind::JetStream(error) = error.kind() else {
        return Err(Trouble::Passing(End::Create(why)));
    };
    // NATS says that it is there with other settings, for each node describes its stream by chance.
    if error.error_code() == ErrorCode::STREAM_NAME_EXIST {
        return Ok(None);
    }
    let end = End::Create(match error.error_code() {
        ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED => {
            format!("{why}; with one server of NATS, ask for 1 replica")
        }
        ErrorCode::MEMORY_RESOURCES_EXCEEDED | ErrorCode::STORAGE_RESOURCES_EXCEEDED => {
            format!("{why}; ask for fewer bytes, or let NATS have more")
        }
        _ => why,
    });
    // Servers are to come, or it is NATS that has a trouble.
    let may_pass = error.code() == 503 || error.error_code() == ErrorCode::CLUSTER_NO_PEERS;
    Err(match may_pass {
        true => Trouble::Passing(end),
        false => Trouble::Final(end),
    })
}

/// Says that the stream is neither there nor can be created.
fn half_created() -> Trouble {
    Trouble::Passing(End::Create("another node is about to".to_owned()))
}

/// Returns the newest snapshot in the stream, if there is one.
pub(super) async fn find_snapshot(
    settings: &Settings,
    context: &Context,
) -> Result<Option<Bytes>, Trouble> {
    let stream = context.get_stream_no_info(settings.stream.as_str()).await;
    let stream = stream.map_err(|error| no_answer(&error))?;
    let subject = settings.stream.snapshots_subject();
    match stream.get_last_raw_message_by_subject(&subject).await {
        Ok(message) => Ok(Some(message.payload)),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(no_answer(&error)),
    }
}

/// Draws a number by chance: the keys of the standard library's hash maps are.
pub(super) fn draw() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

/// Returns what a stream says of itself.
pub(super) fn stream_info(info: &Info) -> StreamInfo {
    StreamInfo {
        id: stream::id(&info.config),
        first: info.state.first_sequence.max(1),
        last: info.state.last_sequence,
    }
}

pub(super) fn no_answer(error: &(dyn std::error::Error + 'static)) -> Trouble {
    let mut why = with_sources(error);
    if why.contains(NOT_ENABLED) || why.contains("no responders") {
        why = "JetStream is not enabled at NATS, or not in this domain (nats-server --jetstream)"
            .to_owned();
    }
    Trouble::Passing(End::Unreachable(why))
}

/// Returns what an error says, and those under it say.
pub(super) fn with_sources(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let why = error.to_string();
        if !text.contains(&why) {
            text = format!("{text}: {why}");
        }
        source = error.source();
    }
    text
}

/// How long NATS may take for an answer. Judgement: a leader is found in less.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// How often the connection is tried. Three pings without an answer, and it is made anew.
const PING_INTERVAL: Duration = Duration::from_secs(2);

/// How long after an attempt at a server the next one begins.
const RECONNECT_PAUSE: Duration = Duration::from_millis(250);

/// What the client of NATS says where nobody answers for JetStream.
const NOT_ENABLED: &str = "requested JetStream resource does not exist";
