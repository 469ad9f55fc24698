//! What the crowd and its judge are worth: a right server with two ports passes, wrong ones are
//! convicted. The servers of NATS and their faults are tested with the chat server, in
//! `bins/server/tests/cluster_faults`.

/// Crowds on servers with two ports, right and wrong.
mod crowds;
/// The example `faults` as a process.
mod example;
/// Chat servers that fail by themselves, where there are real ones.
mod exits;
/// Servers and files that are gone with the process that a signal ends.
mod guards;
/// NATS where it is, which the tests of the chat server look for as well.
mod installed;
/// Servers of NATS by themselves.
mod nats;
