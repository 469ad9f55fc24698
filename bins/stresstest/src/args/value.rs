//! How single values are read from the command line.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::SocketAddr;
use std::path::PathBuf;

use chat_report::atomic_file;

/// Finds out, before anything is started, whether a file can be written.
pub(super) fn parse_output(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    atomic_file::try_write(&path).map_err(|error| format!("it cannot be written: {error}"))?;
    Ok(path)
}

/// Reads an address to listen on or to connect to.
pub(super) fn parse_addr(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "an IP address and a port are needed, like 127.0.0.1:8080 or [::1]:0".to_owned()
    })
}

/// Draws a seed.
pub(super) fn random_seed() -> u64 {
    // The standard library seeds its hash maps from the system's randomness, and this is all that
    // is needed of it here.
    RandomState::new().build_hasher().finish()
}
