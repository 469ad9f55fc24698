//! The real server over real sockets.

/// Sockets that a service manager hands over.
mod activation;
/// What goes wrong outside, and what must not go wrong inside.
mod bad_input;
/// CAs and certificates for the tests.
#[cfg(feature = "tls")]
mod certs;
/// The configuration file, variables, and reading them again.
mod configured;
/// All cases of the specification, from chat-conform.
mod conforms;
/// Clients that connect by the hundred.
mod connecting;
/// What is shipped beside the server: units, a configuration, alerts, a manual.
mod dist;
/// The end of the server.
mod ending;
/// The examples of chat-proto against the server.
mod examples;
/// Quiet clients beside some that flood.
mod flooded;
/// What monitoring systems and the log say of the server, and the admin socket.
mod inside;
/// What is logged, and that nobody waits for it.
mod logging;
/// What the service manager is told.
mod notify;
/// What happens to clients that do not keep up, by policy.
mod policies;
/// Proxies, which say for whom they connect.
mod proxy;
/// Each numbered line of the specification.
mod specification;
/// The beginning of the server.
mod starting;
/// Clients that send faster than they may.
mod throttled;
/// Clients over TLS beside plain ones.
#[cfg(feature = "tls")]
mod tls;
/// The load tester over TLS.
#[cfg(feature = "tls")]
mod tls_loaded;
/// Clients that do not get in, and files that are no good.
#[cfg(feature = "tls")]
mod tls_refused;
/// Servers and clients over TLS for the tests.
#[cfg(feature = "tls")]
mod tls_util;
/// The three binaries together.
mod together;
/// Clients that do not finish a message.
mod unfinished;
/// Unix sockets as addresses.
mod unix;
/// Servers and clients for the tests.
mod util;
