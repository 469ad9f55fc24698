//! What a server does when clients leave.

/// What the server did wrong when clients left, over all repetitions: rules 8 and 9 of the
/// specification. What it forwarded that it should not have is in the trace.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Conduct {
    /// How many connections it left open for as long as the timeout, though the clients had ended
    /// their sending side.
    pub left_open: usize,
    /// The first connection that failed after that, in a sentence.
    pub broken_off: Option<String>,
    /// The first that ended before the client had its own last message, in a sentence.
    pub closed_early: Option<String>,
    /// Whether last messages did not come back that may have been dropped, as others were.
    pub has_dropped_last: bool,
    /// The connection over which the promise was broken, in a sentence.
    pub broken_at: Option<String>,
    /// Why no client could leave inside a message, if that was so.
    pub no_quitter: Option<String>,
}
