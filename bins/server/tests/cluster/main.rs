//! Servers that serve one room over a real NATS server. Where there is none, the tests pass by, unless
//! `CI` is set.
#![cfg(feature = "cluster")]

/// CAs and certificates for the tests.
#[expect(dead_code, reason = "the tests of clients over TLS use all of it")]
#[path = "../it/certs.rs"]
mod certs;
/// Clusters for the tests.
mod cluster_util;
/// All cases of the specification, on a cluster.
mod conforms;
/// What goes wrong at NATS, and among the servers.
mod faults;
/// A NATS server.
#[path = "../../../../crates/chat-cluster/tests/jetstream/nats.rs"]
mod nats;
/// Options that make no sense, and clusters that cannot be joined.
mod refused;
/// One room at several servers.
mod room;
/// NATS over TLS.
mod tls;
/// Servers and clients for the tests.
#[expect(dead_code, reason = "the tests of a single server use all of it")]
#[path = "../it/util.rs"]
mod util;
