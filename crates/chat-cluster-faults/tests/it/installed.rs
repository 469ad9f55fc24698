//! What the tests need. Those of the chat server include this file.

use std::path::PathBuf;

use chat_cluster_faults::find_nats;

/// Finds NATS; in the gate it has to be there.
pub(crate) fn nats() -> Option<PathBuf> {
    let nats = find_nats();
    let must = std::env::var_os("CI").is_some();
    assert!(nats.is_some() || !must, "nats-server is not installed");
    if nats.is_none() {
        eprintln!("skipped: nats-server is not installed (Debian: apt-get install nats-server)");
    }
    nats
}
