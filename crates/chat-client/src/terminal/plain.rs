//! The client without a line editor: nothing on the screen is ever drawn again.

use std::io::{self, BufRead};
use std::sync::{Arc, mpsc};
use std::thread;

use rustix::event::PollFlags;

use super::chat::{Chat, Next};
use super::tty;
use super::view::View;
use super::{TerminalError, leave};
use crate::patient;

/// Reads lines as the terminal gives them and prints lines, until the user or the link ends it.
pub(super) fn run(mut chat: Chat, mut view: View) -> Result<(), TerminalError> {
    let desk = Arc::clone(&chat.desk);
    // Nobody else writes.
    desk.turn.begin_editing();
    let printing_desk = Arc::clone(&desk);
    let printing = thread::Builder::new()
        .name("print".to_owned())
        .spawn(move || {
            let print = |lines: String| {
                printing_desk.turn.show();
                tty::write(&lines)
            };
            printing_desk.show_all(&mut view, tty::columns, print);
            view
        });
    let printing = printing.map_err(TerminalError::Terminal)?;

    let lines = read_lines(&desk)?;
    let mut result = Ok(());
    for line in lines {
        match line {
            Input::Line(line) if !desk.is_ended() => match chat.accept(&line) {
                Next::Quit => break,
                Next::Read(_) | Next::Ask(_) | Next::ClearScreen => {}
            },
            Input::Failed(error) => {
                result = Err(TerminalError::Terminal(error));
                break;
            }
            Input::Line(_) | Input::End => break,
        }
    }
    desk.close();
    let mut view = printing.join().expect("printing does not panic");
    let end = desk.take_end();
    leave(&chat, &mut view, end.is_none() && result.is_ok());
    tty::forget_typed();
    match end {
        Some(end) => Err(end.into()),
        None => result,
    }
}

/// What came from the terminal.
#[derive(Debug)]
enum Input {
    Line(String),
    Failed(io::Error),
    /// The user has enough, or the link has.
    End,
}

/// Reads a line with its newline, or nothing at the end.
fn read_line(line: &mut Vec<u8>) -> io::Result<()> {
    line.clear();
    loop {
        match io::stdin().lock().read_until(b'\n', line) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                patient::wait(&io::stdin(), PollFlags::IN);
            }
            read => return read.map(drop),
        }
    }
}

/// Reads lines in a thread of its own, which waits for the terminal until the process ends.
fn read_lines(desk: &Arc<super::desk::Desk>) -> Result<mpsc::Receiver<Input>, TerminalError> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let ending = sender.clone();
    let reading = thread::Builder::new()
        .name("read".to_owned())
        .spawn(move || {
            let mut line = Vec::new();
            loop {
                let input = match read_line(&mut line) {
                    Ok(()) if line.is_empty() => Input::End,
                    Ok(()) => {
                        let text = line.strip_suffix(b"\n").unwrap_or(&line);
                        Input::Line(String::from_utf8_lossy(text).into_owned())
                    }
                    Err(error) => Input::Failed(error),
                };
                let is_last = !matches!(input, Input::Line(_));
                if sender.send(input).is_err() || is_last {
                    return;
                }
            }
        });
    reading.map_err(TerminalError::Terminal)?;
    let desk = Arc::clone(desk);
    let waiting = thread::Builder::new()
        .name("end".to_owned())
        .spawn(move || {
            if desk.wait_for_end() {
                let _ = ending.send(Input::End);
            }
        });
    waiting.map_err(TerminalError::Terminal)?;
    Ok(receiver)
}
