//! The client with a line editor.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use rustyline::ExternalPrinter;
use rustyline::error::ReadlineError;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::chat::{Chat, Next};
use super::desk::{Desk, End};
use super::editor::{Assistant, Detour, LineEditor, Typing, line_editor};
use super::feed::Level;
use super::history::HistoryFile;
use super::nick::Nick;
use super::rows::rows_below;
use super::tty::{self, Tty};
use super::view::View;
use super::{Options, TerminalError, leave};

/// Reads lines with the editor and prints above them, until the user or the link ends it.
pub(super) fn run(chat: Chat, view: View, options: &Options) -> Result<(), TerminalError> {
    let desk = Arc::clone(&chat.desk);
    let tty = Tty::quieten().map_err(TerminalError::Terminal)?;
    watch_signals(&desk).map_err(TerminalError::Terminal)?;
    let typing = Arc::new(Typing::default());
    let assistant = Assistant {
        link: Arc::clone(&chat.link),
        desk: Arc::clone(&desk),
        typing: Arc::clone(&typing),
        colours: options.colours,
        prefix_len: Some(0),
        is_new: true,
    };
    let mut editor = line_editor(assistant)?;
    let (history, warning) = HistoryFile::load(options.history.as_deref(), &mut editor);
    if let Some(warning) = warning {
        desk.say(Level::Warning, warning);
    }
    let mut printer = editor.create_external_printer()?;
    let printing_desk = Arc::clone(&desk);
    let mut view = view;
    let printing = thread::Builder::new()
        .name("print".to_owned())
        .spawn(move || {
            let print = |lines| {
                tty::let_block()?;
                printer.print(lines).map_err(io::Error::other)
            };
            printing_desk.show_all(&mut view, tty::columns, print);
            view
        });
    let printing = printing.map_err(TerminalError::Terminal)?;

    let mut screen = Screen {
        chat,
        editor,
        typing,
        history,
        tty,
    };
    let result = screen.read_all();
    let Screen {
        chat, editor, tty, ..
    } = screen;
    desk.turn.close();
    // The printing thread may wait for the editor.
    drop(editor);
    desk.close();
    let mut view = printing.join().expect("printing does not panic");
    let end = desk.take_end();
    leave(&chat, &mut view, end.is_none() && result.is_ok());
    drop(tty);
    match end {
        Some(end) => Err(end.into()),
        None => result,
    }
}

/// The line editor and everything that a line may need.
struct Screen {
    chat: Chat,
    editor: LineEditor,
    typing: Arc<Typing>,
    history: HistoryFile,
    tty: Tty,
}

/// What came of reading a line.
enum Reading {
    Line(String),
    /// Something to do before the line is typed on.
    Detour(Detour),
    /// The user has enough, or the link has.
    End,
}

impl Screen {
    fn read_all(&mut self) -> Result<(), TerminalError> {
        let mut halves = (String::new(), String::new());
        while !self.chat.desk.is_ended() {
            let prompt = prompt(self.chat.nick.as_ref());
            let prefix_len = self.chat.prefix_len();
            let line = match self.read(&prompt, &halves, Some(prefix_len))? {
                Reading::Line(line) => line,
                Reading::Detour(detour) => {
                    halves = self.typing.halves();
                    self.take(detour)?;
                    continue;
                }
                Reading::End => return Ok(()),
            };
            self.remember(&line);
            let next = match self.chat.accept(&line) {
                Next::Ask(lines) => self.ask(&line, &lines)?,
                next => next,
            };
            halves.0.clear();
            halves.1.clear();
            match next {
                Next::Read(text) => halves.0 = text,
                Next::ClearScreen => tty::clear_screen().map_err(TerminalError::Terminal)?,
                Next::Quit => return Ok(()),
                Next::Ask(_) => unreachable!("answers are not asked about"),
            }
        }
        Ok(())
    }

    /// Reads a line, and takes it off the screen.
    fn read(
        &mut self,
        prompt: &str,
        (left, right): &(String, String),
        prefix_len: Option<usize>,
    ) -> Result<Reading, TerminalError> {
        if let Some(assistant) = self.editor.helper_mut() {
            assistant.prefix_len = prefix_len;
        }
        let mut initial = (left.clone(), right.clone());
        loop {
            self.typing.begin();
            tty::let_block().map_err(TerminalError::Terminal)?;
            let result = self
                .editor
                .readline_with_initial(prompt, (&initial.0, &initial.1));
            self.chat.desk.turn.end_editing();
            let halves = self.typing.halves();
            let rows = rows_used(prompt, &halves, &result);
            tty::erase_rows(rows).map_err(TerminalError::Terminal)?;
            match result {
                Ok(line) => {
                    let detour = self.typing.take_detour();
                    return Ok(detour.map_or(Reading::Line(line), Reading::Detour));
                }
                Err(ReadlineError::Eof | ReadlineError::Interrupted) => return Ok(Reading::End),
                Err(error) if is_passing(&error) => initial = halves,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Asks whether to send several lines at once. If not, they are typed on.
    fn ask(&mut self, line: &str, lines: &[String]) -> Result<Next, TerminalError> {
        let question = format!("send {} messages? [y/N] ", lines.len());
        let answer = loop {
            let empty = Default::default();
            match self.read(&question, &empty, None)? {
                Reading::Line(answer) => break answer,
                Reading::Detour(detour) => self.take(detour)?,
                Reading::End if self.chat.desk.is_ended() => return Ok(Next::Quit),
                Reading::End => break String::new(),
            }
        };
        match answer.trim() {
            "y" | "Y" | "yes" => Ok(self.chat.send(lines)),
            _ => Ok(Next::Read(line.to_owned())),
        }
    }

    fn take(&mut self, detour: Detour) -> Result<(), TerminalError> {
        match detour {
            Detour::Suspend => self.tty.suspend().map_err(TerminalError::Terminal),
            Detour::Resend => {
                self.chat.resend();
                Ok(())
            }
        }
    }

    fn remember(&mut self, line: &str) {
        if let Some(assistant) = self.editor.helper_mut() {
            assistant.is_new &= line.is_empty();
        }
        // It fails only for histories of another kind.
        if let Ok(true) = self.editor.add_history_entry(line)
            && let Some(warning) = self.history.append(&mut self.editor)
        {
            self.chat.desk.say(Level::Warning, warning);
        }
    }
}

/// Tells whether an error is over when the line is read again.
fn is_passing(error: &ReadlineError) -> bool {
    let kind = match error {
        // The size changed at a bad time.
        ReadlineError::Signal(_) => return true,
        ReadlineError::Io(error) => error.kind(),
        ReadlineError::Errno(errno) => io::Error::from(*errno).kind(),
        _ => return false,
    };
    // Something that was typed is no UTF-8, or somebody has told the terminal not to block.
    matches!(kind, io::ErrorKind::InvalidData | io::ErrorKind::WouldBlock)
}

/// Returns how many rows above the cursor the line begins, after the line editor has ended.
fn rows_used(
    prompt: &str,
    (left, right): &(String, String),
    result: &rustyline::Result<String>,
) -> usize {
    let columns = tty::columns();
    // After each end there is a new row.
    1 + match result {
        Ok(line) => rows_below(prompt, line, columns),
        // The line is gone from the editor, and the cursor is below it.
        Err(ReadlineError::Interrupted) => {
            1 + rows_below(prompt, &format!("{left}{right}"), columns)
        }
        Err(_) => rows_below(prompt, left, columns),
    }
}

fn prompt(nick: Option<&Nick>) -> String {
    nick.map_or_else(|| "> ".to_owned(), |nick| format!("{nick}> "))
}

/// Ends the client on a signal, so that it leaves the terminal in order; and makes the line editor
/// give up waiting for keys when the client is to end, which it does on a signal only.
fn watch_signals(desk: &Arc<Desk>) -> io::Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    let signalled = Arc::clone(desk);
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for _ in &mut signals {
                signalled.end(End::Signal);
            }
        })?;
    let ended = Arc::clone(desk);
    thread::Builder::new()
        .name("end".to_owned())
        .spawn(move || {
            if ended.wait_for_end() {
                // The line editor may be about to wait, so it is told again.
                while ended.is_ended() {
                    let _ = kill_process(getpid(), Signal::INT);
                    thread::sleep(INTERRUPT_TIME);
                }
            }
        })?;
    Ok(())
}

/// How often the line editor is told to give up. A judgement.
const INTERRUPT_TIME: Duration = Duration::from_millis(50);
