//! A run as it is told on a terminal, or to whatever takes its place.

use std::io::{self, Write};

use chat_results::{Count, Load, Observer, Tick};

use crate::lines::{Lines, WhileRead, tell};
use crate::progress::Screen;

/// Prints the result lines on `W` and shows on standard error how far a run is, one never in the
/// middle of the other.
#[derive(Debug)]
pub struct Terminal<W> {
    lines: Lines<W>,
    screen: Screen,
}

/// Whether it is shown how far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is not.
    Hidden,
    /// It is, on standard error.
    Shown,
}

impl Progress {
    /// Is hidden for those who want quiet.
    pub fn shown_unless(is_quiet: bool) -> Self {
        if is_quiet { Self::Hidden } else { Self::Shown }
    }
}

/// Where the result lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinesTo {
    /// Nowhere.
    Nowhere,
    /// Standard output. The run ends when nobody reads it any more.
    Stdout,
    /// Standard output, for as long as somebody reads it.
    StdoutWhileRead,
}

impl Terminal<Box<dyn Write>> {
    /// Makes one of the standard streams, for a run that has a title if there are others.
    pub fn standard(title: &'static str, lines: LinesTo, progress: Progress) -> Self {
        let out: Box<dyn Write> = match lines {
            LinesTo::Nowhere => Box::new(io::sink()),
            LinesTo::Stdout => Box::new(io::stdout()),
            LinesTo::StdoutWhileRead => Box::new(WhileRead(io::stdout())),
        };
        let screen = match progress {
            Progress::Hidden => Screen::quiet(),
            Progress::Shown => Screen::new(title),
        };
        Self::new(Lines::new(out), screen)
    }
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
