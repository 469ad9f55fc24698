//! The state of the terminal.

use std::io::{self, Write, stdin, stdout};

use rustix::process::{Signal, kill_current_process_group};
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, QueueSelector, Termios, tcflush, tcgetattr,
    tcgetwinsize, tcsetattr,
};

/// The terminal, quiet: what is typed does not appear by itself and makes no signals, also between
/// two lines. Dropping it restores the terminal, and forgets what was typed and not read: a shell
/// would take that for a command.
#[derive(Debug)]
pub(super) struct Tty {
    original: Termios,
}

impl Tty {
    pub(super) fn quieten() -> io::Result<Self> {
        let original = tcgetattr(stdin())?;
        let tty = Self { original };
        tty.set_quiet()?;
        Ok(tty)
    }

    /// Gives the terminal back while the process is stopped.
    pub(super) fn suspend(&self) -> io::Result<()> {
        tcsetattr(stdin(), OptionalActions::Drain, &self.original)?;
        kill_current_process_group(Signal::TSTP)?;
        // It goes on here.
        self.set_quiet()
    }

    fn set_quiet(&self) -> io::Result<()> {
        let mut quiet = self.original.clone();
        quiet.input_modes -= InputModes::ICRNL | InputModes::IXON;
        quiet.local_modes -=
            LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG | LocalModes::IEXTEN;
        Ok(tcsetattr(stdin(), OptionalActions::Drain, &quiet)?)
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        // The terminal may be gone.
        forget_typed();
        let _ = tcsetattr(stdin(), OptionalActions::Drain, &self.original);
    }
}

/// Takes what was typed and not read out of the queue of the terminal.
pub(super) fn forget_typed() {
    let _ = tcflush(stdin(), QueueSelector::IFlush);
}

/// Returns how many columns the terminal has; it may say that it has none.
pub(super) fn columns() -> usize {
    let size = tcgetwinsize(stdout());
    let columns = size.map_or(0, |size| usize::from(size.ws_col));
    if columns == 0 { 80 } else { columns }
}

/// Moves the cursor up by so many rows, and erases everything from there on.
pub(super) fn erase_rows(rows: usize) -> io::Result<()> {
    let up = if rows > 0 {
        format!("\x1b[{rows}A")
    } else {
        String::new()
    };
    write(&format!("{up}\r\x1b[J"))
}

/// Erases everything from the cursor on.
pub(super) fn erase_below() -> io::Result<()> {
    write("\x1b[J")
}

/// Makes empty rows below the cursor, and moves it down so that `below` of them are below it.
pub(super) fn add_rows(count: usize, below: usize) -> io::Result<()> {
    write(&"\n".repeat(count))?;
    erase_rows(below)
}

pub(super) fn clear_screen() -> io::Result<()> {
    write("\x1b[H\x1b[2J")
}

pub(super) fn write(text: &str) -> io::Result<()> {
    let mut stdout = stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
