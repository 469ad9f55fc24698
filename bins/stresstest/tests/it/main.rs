//! The public behaviour of stresstest: the real binary against small servers, right and wrong.

/// What the command line takes.
mod args;
/// Servers that take turns.
mod compare;
/// The specification case by case, on servers wrong and right.
mod conform;
/// Mistakes that people make, and the cases that find them.
mod conform_mutants;
/// Servers that break the promise.
mod convicted;
/// Servers that cannot be tested, or stop being testable.
mod failed;
/// Files that results go to, and are judged from.
mod files;
/// Pages of what was found.
mod html;
/// Many messages in flight, and thresholds on what they show.
mod in_flight;
/// Ending early from outside.
mod interrupted;
/// Servers that people would otherwise pick.
mod known_servers;
/// The man page, and the completions.
mod manual;
/// What is measured, and how that is judged.
mod measured;
/// The server that the load tester is measured with itself.
mod null;
/// Servers that keep the promise.
mod passed;
/// Pauses of the load tester and of the server, told apart.
mod paused;
/// Rules that are not about the order.
mod rules;
/// Runs the binary under a deadline.
mod run;
/// Servers that run already.
mod running;
/// Several servers that promise one order together.
mod several;
/// What is shown on a terminal.
mod terminal;
/// Servers over TLS, or none where there should be one.
mod tls;
