//! `chat-server`: forwards every message to every client, in one order that all clients agree on.

use std::process::ExitCode;

fn main() -> ExitCode {
    chat_server::run()
}
