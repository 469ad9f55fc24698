//! A run as it is told on a terminal, or to whatever takes its place.

use std::io::{self, Write};

use chat_results::{Count, Load, Observer, Tick};

use crate::lines::{Lines, tell};
use crate::progress::Screen;

/// Prints the result lines on `W` and shows on standard error how far a run is, one never in the
/// middle of the other.
#[derive(Debug)]
pub struct Terminal<W> {
    lines: Lines<W>,
    screen: Screen,
}

impl<W: Write> Terminal<W> {
    /// Makes one of these lines and this screen.
    pub fn new(lines: Lines<W>, screen: Screen) -> Self {
        Self { lines, screen }
    }
}

impl<W: Write> Observer for Terminal<W> {
    fn waiting(&mut self, what: &'static str) {
        self.screen.wait(what);
    }

    fn began(&mut self, iteration: u32, load: &Load) -> io::Result<()> {
        let lines = &mut self.lines;
        self.screen.aside(|| lines.launching(iteration, load))
    }

    fn ticked(&mut self, iteration: u32, load: &Load, tick: &Tick) {
        self.screen.update(iteration, load.repetitions, tick);
    }

    fn completed(&mut self, _iteration: u32, count: &Count) -> io::Result<()> {
        let lines = &mut self.lines;
        self.screen.aside(|| lines.completed(count))
    }

    fn violated(&mut self, _iteration: u32, _class: &'static str, _story: &str) {
        // The story is told when all is over. Until then there is no progress any more.
        self.screen.aside(|| ());
    }

    fn noted(&mut self, note: &str) {
        self.screen.aside(|| tell(format_args!("note: {note}")));
    }
}
