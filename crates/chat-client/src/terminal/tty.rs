//! The state of the terminal.

use std::io::{self, Stdout, Write, stdin, stdout};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Signal, kill_current_process_group};
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, QueueSelector, Termios, tcflush, tcgetattr,
    tcgetwinsize, tcsetattr,
};

use crate::patient;

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

/// Takes typed keys that nobody has read out of the queue of the terminal.
pub(super) fn forget_typed() {
    let _ = tcflush(stdin(), QueueSelector::IFlush);
}

/// How large the terminal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) columns: usize,
    pub(super) rows: usize,
}

/// Returns how large the terminal is; it may say that it has no rows and no columns.
pub(super) fn size() -> Size {
    let (columns, rows) = tcgetwinsize(stdout()).map_or((0, 0), |size| (size.ws_col, size.ws_row));
    let or = |count: u16, default| if count == 0 { default } else { count.into() };
    Size {
        columns: or(columns, 80),
        rows: or(rows, 24),
    }
}

/// Returns how many columns the terminal has.
pub(super) fn columns() -> usize {
    size().columns
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

/// Makes empty rows below the cursor, and moves it down so that `below` of them are below it.
pub(super) fn add_rows(count: usize, below: usize) -> io::Result<()> {
    write(&"\n".repeat(count))?;
    erase_rows(below)
}

pub(super) fn clear_screen() -> io::Result<()> {
    write("\x1b[H\x1b[2J")
}

/// Writes to the terminal at once, past the buffer of standard output.
pub(super) fn write(text: &str) -> io::Result<()> {
    patient::write_all(&mut Output(stdout()), text.as_bytes())
}

/// Lets the terminal block: the line editor cannot wait for one that does not.
pub(super) fn let_block() -> io::Result<()> {
    for fd in [stdin().as_fd(), stdout().as_fd()] {
        let flags = fcntl_getfl(fd)?;
        if flags.contains(OFlags::NONBLOCK) {
            fcntl_setfl(fd, flags - OFlags::NONBLOCK)?;
        }
    }
    Ok(())
}

/// Standard output, without a buffer.
struct Output(Stdout);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(&self.0, bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Output {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
