//! Sending typed lines, and obeying commands.

use std::sync::Arc;

use chat_proto::{BODY_LEN_MAX, Body};

use super::LongLines;
use super::desk::{Desk, messages_in_words};
use super::feed::Level;
use super::nick::Nick;
use crate::lines::part_len;
use crate::{Link, SendError, escape};

/// The lines of a user, on their way to the server.
#[derive(Debug)]
pub(super) struct Chat {
    pub(super) link: Arc<Link>,
    pub(super) desk: Arc<Desk>,
    pub(super) nick: Option<Nick>,
    pub(super) long_lines: LongLines,
}

/// The next step after a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Read another, which begins with this.
    Read(String),
    /// Ask whether to send all of these.
    Ask(Vec<String>),
    ClearScreen,
    Quit,
}

impl Next {
    fn read() -> Self {
        Self::Read(String::new())
    }
}

impl Chat {
    /// Sends a typed line, or obeys it.
    pub(super) fn accept(&mut self, line: &str) -> Next {
        if line.contains('\n') {
            let lines: Vec<_> = line.split('\n').filter(|line| !line.is_empty()).collect();
            return match lines[..] {
                [] => Next::read(),
                [line] => self.send(&[line]),
                _ => Next::Ask(lines.into_iter().map(str::to_owned).collect()),
            };
        }
        match line.strip_prefix('/') {
            // One slash more makes a message of it.
            Some(text) if text.starts_with('/') => self.send(&[text]),
            Some(command) => self.obey(command),
            // People press Enter alone to make room, and say nothing with it.
            None if line.is_empty() => Next::read(),
            None => self.send(&[line]),
        }
    }

    /// Sends lines in order. The lines that cannot be sent are given back.
    pub(super) fn send(&mut self, lines: &[impl AsRef<str>]) -> Next {
        for (index, line) in lines.iter().enumerate() {
            if let Err(problem) = self.send_line(line.as_ref()) {
                self.desk.say(Level::Warning, problem);
                let unsent: Vec<_> = lines[index..].iter().map(AsRef::as_ref).collect();
                let unsent = unsent.join("\n");
                // It is typed as it was: with the slash that makes a message of it.
                let slash = if unsent.starts_with('/') && lines.len() == 1 {
                    "/"
                } else {
                    ""
                };
                return Next::Read(format!("{slash}{unsent}"));
            }
        }
        Next::read()
    }

    /// Sends the messages again that had not come back when a connection was lost.
    pub(super) fn resend(&self) {
        let bodies = self.desk.take_unreturned();
        if bodies.is_empty() {
            self.desk.say(Level::Info, "there is nothing to send again");
        }
        for (index, body) in bodies.iter().enumerate() {
            if let Err(error) = self.send_body(body) {
                self.desk.say(Level::Warning, refusal(error));
                self.desk.put_back(bodies[index..].to_vec());
                return;
            }
        }
    }

    /// Returns how many bytes are put before each line.
    pub(super) fn prefix_len(&self) -> usize {
        self.nick.as_ref().map_or(0, |nick| nick.prefix().len())
    }

    fn send_line(&self, line: &str) -> Result<(), String> {
        let prefix = self.nick.as_ref().map_or(String::new(), Nick::prefix);
        let room = BODY_LEN_MAX - prefix.len();
        if line.len() > room && self.long_lines == LongLines::Refuse {
            let too_many = line.len() - room;
            return Err(format!(
                "not sent: the line is {too_many} bytes too long for a message; shorten it, or \
                 start with --split to have long lines cut",
            ));
        }
        let mut rest = line;
        while !rest.is_empty() {
            let part = match rest.len() > room {
                true => part_len(rest.as_bytes(), room),
                false => rest.len(),
            };
            let (part, after) = rest.split_at(part);
            let body = format!("{prefix}{part}");
            self.send_body(body.as_bytes()).map_err(refusal)?;
            rest = after;
        }
        Ok(())
    }

    fn send_body(&self, body: &[u8]) -> Result<(), SendError> {
        let body = Body::new(body).expect("the length was looked at before");
        self.link.send(body)?;
        self.desk.count_sent(1 + body.as_bytes().len());
        Ok(())
    }

    fn obey(&mut self, command: &str) -> Next {
        let (name, argument) = command.split_once(' ').unwrap_or((command, ""));
        match name {
            "help" => HELP
                .iter()
                .for_each(|line| self.desk.say(Level::Info, *line)),
            "stats" => self.tell_statistics(),
            "hex" => {
                let form = if self.desk.toggle_hex() {
                    "bytes"
                } else {
                    "text"
                };
                self.desk
                    .say(Level::Info, format!("messages are shown as {form}"));
            }
            "clear" => return Next::ClearScreen,
            "nick" => self.set_nick(argument.trim()),
            "reconnect" => self.link.reconnect(),
            "resend" => self.resend(),
            "quit" => return Next::Quit,
            _ => {
                let name = escape(name.as_bytes());
                let text = format!(
                    "not sent: there is no command /{name}; /help lists them, //{name} sends /{name}",
                );
                self.desk.say(Level::Warning, text);
            }
        }
        Next::read()
    }

    fn tell_statistics(&self) {
        let mut lines = self.desk.statistics();
        let (count, _) = self.link.under_way(0);
        if count > 0 {
            lines.push(format!("{} under way", messages_in_words(count)));
        }
        for line in lines {
            self.desk.say(Level::Info, line);
        }
    }

    fn set_nick(&mut self, name: &str) {
        if name.is_empty() {
            self.nick = None;
            return self.desk.say(Level::Info, "you have no name now");
        }
        match name.parse::<Nick>() {
            Ok(nick) => {
                self.desk.say(Level::Info, format!("you are {nick} now"));
                self.nick = Some(nick);
            }
            Err(error) => self.desk.say(Level::Warning, error.to_string()),
        }
    }
}

fn refusal(error: SendError) -> String {
    match error {
        SendError::NotConnected => "not sent: there is no connection now".to_owned(),
        SendError::Full => "not sent: too many of your messages have not come back yet".to_owned(),
    }
}

/// The names of the commands, for completing them.
pub(super) const COMMANDS: [&str; 8] = [
    "/clear",
    "/help",
    "/hex",
    "/nick",
    "/quit",
    "/reconnect",
    "/resend",
    "/stats",
];

const HELP: [&str; 10] = [
    "/stats      messages, bytes, rates and round trips",
    "/hex        messages as bytes, and as text again",
    "/clear      an empty screen",
    "/nick NAME  a name before your messages; /nick alone takes it away",
    "/reconnect  another connection",
    "/resend     sends the messages again that did not come back (Alt-R)",
    "/quit       ends (Ctrl-D or Ctrl-C on an empty line)",
    "//x         sends /x",
    "Ctrl-R      searches the lines that you have typed",
    "Ctrl-C      clears the line, Ctrl-Y brings it back; Ctrl-Z suspends",
];
