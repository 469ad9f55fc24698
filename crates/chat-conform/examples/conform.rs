//! Tells whether a server conforms: `cargo run -p chat-conform --example conform -- SERVER [ARGS…]`.

use std::process::ExitCode;

use chat_conform::{Suite, SuiteError};

fn main() -> Result<ExitCode, SuiteError> {
    let mut words = std::env::args_os().skip(1);
    let Some(server) = words.next() else {
        eprintln!("usage: conform SERVER [ARGS…]");
        return Ok(ExitCode::from(2));
    };
    let report = Suite::new(server).args(words).strict(true).run()?;
    print!("{report}");
    Ok(if report.has_passed() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(3)
    })
}
