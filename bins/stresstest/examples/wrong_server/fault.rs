//! What the server can do wrong.

use clap::ValueEnum;

/// What the server does wrong, if anything. The *victim* is one client, number 2 unless another is
/// given; *late* is when there have been 500 load messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fault {
    /// Keeps the specification.
    Honest,
    /// Drops every third load message of each sender for the victim, which is legal.
    DropThirds,
    /// Drops half of the load messages for every client, which is legal.
    DropHalf,
    /// Drops the first, the third and so on of each sender's load messages for everybody, which is
    /// legal. When load messages are even in number, nobody has to ask what became of the last.
    DropHalfBulk,
    /// Drops half of everything for every client at random, which is legal, too.
    DropRandom,
    /// Drops about a third of everything for every client, which is legal: every kind of message
    /// has to be repeated.
    DropAnything,
    /// Drops everything but hello messages for the victim.
    DropAll,
    /// Drops closing messages for the victim.
    DropClosing,
    /// Drops closing messages of client 0 for everybody, which leaves nothing to prove it by.
    SwallowClosing,
    /// Drops nine tenths of everything for the victim at random.
    DropMostRandom,
    /// Sends the victim nothing at all.
    ForgetVictim,
    /// Sends the victim nothing more, late.
    ForgetVictimLate,
    /// Sends messages back to their senders only.
    EchoOnly,
    /// Never sends a client's messages back to it.
    ForgetSender,
    /// Never sends a client's load messages back to it.
    ForgetLoad,
    /// Sends each client half a message, when it has ended its sending side.
    CutLast,
    /// Begins the victim's stream in the middle of a message.
    WrongStart,
    /// Begins each client's stream with a message of the repetition before, which is legal.
    ReplayEarly,
    /// Begins each client's stream with two messages of the repetition before, which is legal.
    ReplayTwo,
    /// Does the same with the two in the other order.
    ReplayReversed,
    /// Begins each client's stream with a message of the repetition before, twice.
    ReplayTwice,
    /// Sends a message of the repetition before when the client's own hello message has come back.
    ReplayLate,
    /// Sends two messages of different senders to the victim in the other order.
    Reorder,
    /// Does the same, late.
    ReorderLate,
    /// Sends everybody else a message of client 1 before the message of client 0 that client 1 had
    /// received when it sent its own. Takes a load in which client 1 sends one message after
    /// the other.
    Causal,
    /// Sends two messages of client 0 to the last client in the other order.
    Swap,
    /// Changes a byte of a body for the victim.
    Corrupt,
    /// Cuts a byte off a body for the victim.
    Truncate,
    /// Sends a message to the victim twice.
    Duplicate,
    /// Sends the victim a message that nobody sent.
    Invent,
    /// Sends each client a message that nobody sent, when it has ended its sending side.
    InventLast,
    /// Never closes a connection, though the client has ended its sending side.
    StayOpen,
    /// Closes the connection of the victim.
    HangUp,
    /// Sends the victim everything some time after everybody else.
    Delay,
    /// Sends everything to everybody after some time.
    DelayAll,
    /// Does nothing for three seconds, late.
    Pause,
    /// Keeps 64 KiB of memory for every message, for ever.
    Leak,
    /// Exits with code 7, late.
    Die,
    /// Neither reads nor writes nor closes anything any more, late.
    Hang,
    /// Writes 2.5 MB a second to standard error, and forwards nothing while that is full.
    FloodStderr,
    /// Exits with code 9 instead of getting ready.
    ExitAtOnce,
    /// Prints something else and never gets ready.
    NeverReady,
    /// Gets ready, but does not say where.
    NoAddress,
    /// Gets ready, but nobody can connect to where it says that it is.
    DeadPort,
    /// Prints something else before it gets ready.
    Talkative,
    /// Starts a server of its own in another process group, and has that do the work.
    Escape,
    /// Ignores SIGTERM and starts a process of its own.
    Stubborn,
    /// Dies of SIGTERM.
    DieOfTerm,
    /// Exits with code 4 after SIGTERM.
    ExitNonZero,
    /// Forwards bytes as it reads them.
    Relay,
    /// Forwards bytes as it reads them, up to 256 at a time.
    RelayPieces,
    /// Forwards the beginning of a message whose sender has left.
    ForwardUnfinished,
    /// Closes a connection as soon as the client has ended its sending side, and forgets what it
    /// still had for it.
    CloseEarly,
    /// Has a job of its own for each load message that it read with others, so that these overtake
    /// each other.
    JobPerMessage,
    /// Loses the header of a message when nothing behind it has arrived yet.
    LoseHeader,
    /// Resets a connection when the client has ended its sending side.
    Abort,
}
