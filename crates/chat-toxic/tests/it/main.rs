//! The proxy between real sockets.

/// What arrives of what is sent, under each toxic.
mod forwarding;
