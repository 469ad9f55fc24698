use std::fs::File;
use std::io::Read;
use std::thread;
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::run::{Running, server, stresstest};

/// What a run printed on a terminal.
struct Shown {
    text: String,
    took: Duration,
}

impl Shown {
    /// Counts the sequences that set colours and the like.
    fn styles(&self) -> usize {
        self.text
            .split("\x1b[")
            .skip(1)
            .filter(|rest| {
                rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';')
                    .starts_with('m')
            })
            .count()
    }

    /// Counts how often the progress of the load was drawn.
    fn draws(&self) -> usize {
        self.text.matches(" messages sent, ").count()
    }
}

/// Runs a second of load on a terminal with 80 columns, in an environment of these variables and no
/// other.
#[track_caller]
fn show(variables: &[(&str, &str)]) -> Shown {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let controller = openpt(flags).unwrap();
    grantpt(&controller).unwrap();
    unlockpt(&controller).unwrap();
    let terminal = ioctl_tiocgptpeer(&controller, flags).unwrap();
    tcsetwinsize(
        &terminal,
        Winsize {
            ws_row: 24,
            ws_col: 80,
            ws_xpixel: 0,
            ws_ypixel: 0,
        },
    )
    .unwrap();
    let reading = thread::spawn(move || {
        let mut bytes = Vec::new();
        // It ends with an error when nobody has the terminal any more.
        let _ = File::from(controller).read_to_end(&mut bytes);
        String::from_utf8(bytes).unwrap()
    });

    let start = Instant::now();
    let outputs = [terminal.try_clone().unwrap(), terminal].map(Into::into);
    let mut command = stresstest();
    command.env_clear().envs(variables.iter().copied());
    command
        .args(["-a", "127.0.0.1:0", "--window", "10", "--duration", "1s"])
        .arg(server());
    // So slow that the load tester has nothing to do most of the time, which it would tell of.
    command.args(["--", "delay-all", "--delay-ms", "20"]);
    let running = Running::start_with_outputs(&mut command, outputs);
    // It has the terminal, too.
    drop(command);
    // It may have had no processor for a while, which is told on the terminal.
    let code = running.wait().code;
    assert!(matches!(code, Some(0 | 5)), "{code:?}");
    Shown {
        text: reading.join().unwrap(),
        took: start.elapsed(),
    }
}

/// The environment of a terminal that can do everything.
const XTERM: (&str, &str) = ("TERM", "xterm-256color");

#[test]
fn progress_is_redrawn_in_place_ten_times_a_second_at_most() {
    let shown = show(&[XTERM]);
    assert!(
        shown.draws() > 1 && shown.text.contains("\x1b[2K"),
        "{:?}",
        shown.text
    );
    assert!(
        shown.draws() as f64 <= 1.0 + 10.0 * shown.took.as_secs_f64(),
        "{} in {:?}",
        shown.draws(),
        shown.took
    );
}

#[test]
fn the_table_fits_the_terminal_and_its_verdict_is_coloured() {
    let shown = show(&[XTERM]);
    assert!(shown.styles() > 0, "{:?}", shown.text);
    let table = &shown.text[shown.text.find("server  ").unwrap()..];
    for line in table.lines() {
        let line = console::strip_ansi_codes(line);
        assert!(line.chars().count() <= 80, "{line:?}");
    }
}

#[test]
fn without_colours_only_the_cursor_is_moved() {
    let shown = show(&[XTERM, ("NO_COLOR", "1")]);
    assert_eq!(shown.styles(), 0, "{:?}", shown.text);
    assert!(shown.draws() > 1, "{:?}", shown.text);
    // A variable that is empty says nothing.
    assert!(show(&[XTERM, ("NO_COLOR", "")]).styles() > 0);
}

#[test]
fn a_terminal_that_can_do_nothing_gets_plain_lines() {
    let shown = show(&[("TERM", "dumb")]);
    assert!(
        !shown.text.contains('\x1b') && shown.text.contains("verdict        "),
        "{:?}",
        shown.text
    );
}
