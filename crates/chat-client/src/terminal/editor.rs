//! The line editor: its keys, and the row below the line.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chat_proto::BODY_LEN_MAX;
use rustyline::completion::Completer;
use rustyline::config::BellStyle;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::{Hint, Hinter};
use rustyline::history::DefaultHistory;
use rustyline::validate::Validator;
use rustyline::{
    Behavior, Cmd, ColorMode, ConditionalEventHandler, Config, Context, Editor, Event,
    EventContext, EventHandler, Helper, KeyCode, KeyEvent, Modifiers, Movement, RepeatCount,
};

use super::chat::COMMANDS;
use super::desk::Desk;
use super::rows::{TAB_STOP, drawn, fills_row, rows_below, shorten};
use super::tty::{self, Size};
use super::view::{Colours, Style};
use crate::{Link, escape};

pub(super) type LineEditor = Editor<Assistant, DefaultHistory>;

/// Answers the line editor's questions while a line is typed.
#[derive(Debug)]
pub(super) struct Assistant {
    pub(super) link: Arc<Link>,
    pub(super) desk: Arc<Desk>,
    pub(super) typing: Arc<Typing>,
    pub(super) colours: Colours,
    /// How many bytes are put before the line; `None` while the line is an answer.
    pub(super) prefix_len: Option<usize>,
    /// Whether no line has been typed yet.
    pub(super) is_new: bool,
}

/// The line that is being typed, and what its keys asked for.
#[derive(Debug, Default)]
pub(super) struct Typing {
    state: Mutex<TypingState>,
}

#[derive(Debug, Default)]
struct TypingState {
    /// The prompt that was drawn last.
    prompt: String,
    line: String,
    pos: usize,
    /// The size of the terminal for which the line was drawn; `None` before it was.
    size: Option<Size>,
    /// Whether the line editor is about to draw because the line changed. If it draws without that,
    /// it has printed something.
    is_changing: bool,
    detour: Option<Detour>,
}

/// Something to do before the line is typed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detour {
    Suspend,
    Resend,
}

impl Typing {
    /// Returns the line, up to the cursor and from there on.
    pub(super) fn halves(&self) -> (String, String) {
        let state = self.lock();
        let (left, right) = state.line.split_at(state.pos);
        (left.to_owned(), right.to_owned())
    }

    pub(super) fn take_detour(&self) -> Option<Detour> {
        self.lock().detour.take()
    }

    /// Notes that the next line is not drawn yet.
    pub(super) fn begin(&self) {
        let mut state = self.lock();
        (state.size, state.is_changing) = (None, false);
    }

    /// Notes that the line is being drawn after this prompt. Returns whether it is because the line
    /// changed.
    fn begin_drawing(&self, prompt: &str) -> bool {
        let mut state = self.lock();
        prompt.clone_into(&mut state.prompt);
        std::mem::take(&mut state.is_changing)
    }

    fn update(&self, line: &str, pos: usize) {
        let mut state = self.lock();
        // In the end, the line editor moves the cursor after the line.
        if state.detour.is_none() {
            line.clone_into(&mut state.line);
            state.pos = pos;
        }
    }

    fn lock(&self) -> MutexGuard<'_, TypingState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a line editor with the keys of the client.
pub(super) fn line_editor(assistant: Assistant) -> rustyline::Result<LineEditor> {
    let config = Config::builder()
        .behavior(Behavior::Stdio)
        // It would leave out the row below the line; whether there are colours is decided there.
        .color_mode(ColorMode::Forced)
        .bell_style(BellStyle::None)
        // Without it, nothing would be printed between Escape and the next key.
        .keyseq_timeout(Some(ESCAPE_TIMEOUT_MS))
        .tab_stop(TAB_STOP as u8)
        .history_ignore_space(true)
        .max_history_size(HISTORY_MAX)?
        .build();
    let mut editor = Editor::with_config(config)?;
    let keys = [
        (KeyEvent(KeyCode::Enter, Modifiers::NONE), Key::Enter),
        (KeyEvent::ctrl('J'), Key::Enter),
        (KeyEvent::ctrl('C'), Key::Interrupt),
        (KeyEvent::ctrl('D'), Key::End),
        (KeyEvent::ctrl('Z'), Key::Detour(Detour::Suspend)),
        (KeyEvent::alt('r'), Key::Detour(Detour::Resend)),
    ];
    for (event, key) in keys {
        let handler = Handler {
            key,
            typing: Arc::clone(&assistant.typing),
            desk: Arc::clone(&assistant.desk),
        };
        editor.bind_sequence(event, EventHandler::Conditional(Box::new(handler)));
    }
    editor.set_helper(Some(assistant));
    Ok(editor)
}

/// The effect of a key.
#[derive(Clone, Copy, Debug)]
enum Key {
    Enter,
    Interrupt,
    End,
    Detour(Detour),
}

/// Gives a key its effect, and ends the turn of the line editor where it ends reading.
#[derive(Debug)]
struct Handler {
    key: Key,
    typing: Arc<Typing>,
    desk: Arc<Desk>,
}

impl ConditionalEventHandler for Handler {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, context: &EventContext) -> Option<Cmd> {
        let is_empty = context.line().is_empty();
        let command = match self.key {
            Key::Enter => Some(Cmd::AcceptLine),
            Key::Interrupt if is_empty => Some(Cmd::Interrupt),
            // Killed, so that it can be brought back.
            Key::Interrupt => return Some(Cmd::Kill(Movement::WholeBuffer)),
            Key::End if is_empty => Some(Cmd::EndOfFile),
            // It deletes a character.
            Key::End => return None,
            Key::Detour(detour) => {
                self.typing.update(context.line(), context.pos());
                self.typing.lock().detour = Some(detour);
                Some(Cmd::AcceptLine)
            }
        };
        self.desk.turn.end_editing();
        command
    }
}

/// The row below the line. The line editor draws it again with each print, but only as large as it
/// was, so it is always one row; [`Assistant::highlight_hint`] says what stands in it.
#[derive(Debug)]
pub(super) struct RowBelow;

impl Hint for RowBelow {
    fn display(&self) -> &str {
        "\n"
    }

    fn completion(&self) -> Option<&str> {
        None
    }
}

impl Hinter for Assistant {
    type Hint = RowBelow;

    fn hint(&self, line: &str, pos: usize, _: &Context<'_>) -> Option<RowBelow> {
        // It is asked for with each change, before the line is drawn.
        self.make_room();
        self.typing.update(line, pos);
        self.desk.turn.begin_editing();
        Some(RowBelow)
    }
}

impl Highlighter for Assistant {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        Cow::Owned(drawn(line).0)
    }

    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(
        &'s self,
        prompt: &'p str,
        default: bool,
    ) -> Cow<'b, str> {
        if !self.typing.begin_drawing(prompt) {
            self.desk.turn.show();
        }
        match prompt.strip_suffix("> ") {
            Some(name) if default && !self.link.is_connected() => Cow::Owned(format!("{name}! ")),
            _ => Cow::Borrowed(prompt),
        }
    }

    fn highlight_char(&self, line: &str, pos: usize, kind: CmdKind) -> bool {
        // It is asked for when the cursor moves, too.
        self.typing.update(line, pos);
        self.typing.lock().is_changing |= kind != CmdKind::MoveCursor;
        false
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        let is_full = {
            let state = self.typing.lock();
            fills_row(&state.prompt, &state.line, tty::columns())
        };
        // The line editor adds a newline after a full row, but not before a newline.
        let newline = if is_full { "\n" } else { "" };
        Cow::Owned(format!("{newline}{hint}{}", self.row_below()))
    }
}

impl Completer for Assistant {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        pos: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = &line[..pos];
        let fitting = COMMANDS.iter().filter(|command| command.starts_with(typed));
        let is_command = typed.starts_with('/');
        let fitting = fitting.filter(|_| is_command);
        Ok((0, fitting.map(|&command| command.to_owned()).collect()))
    }
}

impl Validator for Assistant {}

impl Helper for Assistant {}

impl Assistant {
    /// Sees to it that the line editor erases what it has drawn and no more, when the terminal has
    /// put that on other rows because its size has changed. The line editor counts on the rows that
    /// it has drawn.
    ///
    /// Terminals that leave rows as they are keep some of the line above it, and those that do not
    /// keep some when they become narrower: nobody can tell them apart, and nothing of others is to
    /// be erased.
    fn make_room(&self) {
        let size = tty::size();
        let mut state = self.typing.lock();
        let Some(drawn) = state.size.replace(size).filter(|&drawn| drawn != size) else {
            return;
        };
        let left = &state.line[..state.pos];
        let rows = |text: &str, size: Size| rows_below(&state.prompt, text, size.columns);
        let (above, drawn_above) = (rows(left, size), rows(left, drawn));
        let drawn_below = 1 + rows(&state.line, drawn) - drawn_above;
        // When it fails, drawing fails too, and says so.
        let _ = if above < drawn_above {
            tty::erase_rows(above)
                .and_then(|()| tty::add_rows(drawn_above + drawn_below, drawn_below))
        } else {
            // A terminal with fewer rows may have cut off those below the cursor.
            tty::add_rows(drawn_below, drawn_below)
        };
    }

    /// Says how long the line is when that matters, whether there is a connection, and what is under
    /// way.
    fn row_below(&self) -> String {
        let mut parts = Vec::new();
        let mut style = Style::Dim;
        if let Some((text, of_length)) = self.length() {
            parts.push(text);
            style = of_length;
        }
        match drawn(&self.typing.lock().line).1 {
            0 => {}
            1 => parts.push("1 invisible character".to_owned()),
            count => parts.push(format!("{count} invisible characters")),
        }
        if !self.link.is_connected() {
            parts.push("not connected".to_owned());
            style = Style::Warning;
        }
        if self.is_new && self.typing.lock().line.is_empty() && parts.is_empty() {
            parts.push("/help lists the commands".to_owned());
        }
        let (count, bodies) = self.link.under_way(1);
        if let Some(body) = bodies.first() {
            let more = if count > 1 {
                format!(" (and {} more)", count - 1)
            } else {
                String::new()
            };
            parts.push(format!("… {}{more}", escape(body)));
        }
        let row = shorten(&parts.join("  "), tty::columns().saturating_sub(1));
        self.colours.paint(style, &row)
    }

    /// Says how long the line is, if it is near the limit or beyond, or has several lines.
    fn length(&self) -> Option<(String, Style)> {
        let prefix_len = self.prefix_len?;
        let state = self.typing.lock();
        let line = &state.line;
        if line.contains('\n') {
            let count = line.split('\n').filter(|line| !line.is_empty()).count();
            return Some((format!("{count} messages"), Style::Dim));
        }
        let is_command = line.starts_with('/') && !line.starts_with("//");
        let slash = usize::from(line.starts_with("//"));
        let len = prefix_len + line.len() - slash;
        match len {
            _ if is_command => None,
            0..LEN_TOLD => None,
            LEN_TOLD..=BODY_LEN_MAX => Some((format!("{len}/{BODY_LEN_MAX}"), Style::Dim)),
            _ => Some((
                format!("{len}/{BODY_LEN_MAX} bytes: too long"),
                Style::Warning,
            )),
        }
    }
}

/// From how many bytes on the length is shown. A judgement: two lines on most terminals.
const LEN_TOLD: usize = 200;

/// How many milliseconds may be between Escape and the rest of a key: as much as in GNU Readline.
const ESCAPE_TIMEOUT_MS: u16 = 500;

/// How many lines the history has at most. A judgement.
const HISTORY_MAX: usize = 5000;
