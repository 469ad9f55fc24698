use std::io;
use std::net::TcpStream;

use chat_stress::{Count, Failure, Load, Observer, Phase, Run, Target, Tick, Verdict};

use crate::servers::{async_server, load, serve};

/// Writes down what it is told.
#[derive(Default)]
struct Diary {
    events: Vec<String>,
    phase: Option<Phase>,
    is_full: bool,
}

impl Observer for Diary {
    fn waiting(&mut self, what: &'static str) {
        self.events.push(what.to_owned());
    }

    fn began(&mut self, iteration: u32, load: &Load) -> io::Result<()> {
        if self.is_full {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.events
            .push(format!("{iteration} of {} begins", load.repetitions));
        Ok(())
    }

    fn ticked(&mut self, _iteration: u32, _load: &Load, tick: &Tick) {
        if self.phase.replace(tick.phase) != Some(tick.phase) {
            self.events.push(format!("{:?}", tick.phase));
        }
    }

    fn completed(&mut self, iteration: u32, count: &Count) -> io::Result<()> {
        self.events
            .push(format!("{iteration} is over, {} sent", count.sent));
        Ok(())
    }

    fn violated(&mut self, iteration: u32, class: &'static str, story: &str) {
        assert!(!story.is_empty());
        self.events.push(format!("{iteration} is broken: {class}"));
    }
}

#[test]
fn an_observer_is_told_of_every_phase_in_order() {
    let mut diary = Diary::default();
    let load = Load {
        repetitions: 2,
        ..load()
    };
    Run::new(Target::serve(async_server::serve).unwrap(), load)
        .measure(&mut diary)
        .unwrap()
        .assert_proved();
    let phases = ["Join", "Load", "Close", "Leave", "Verdict"];
    let mut expected = vec!["waiting for the server to get ready".to_owned()];
    for iteration in 0..2 {
        expected.push(format!("{iteration} of 2 begins"));
        expected.extend(phases.map(str::to_owned));
        expected.push(format!("{iteration} is over, 400 sent"));
    }
    assert_eq!(diary.events, expected);
}

#[test]
fn an_observer_is_told_of_a_violation() {
    let to_nobody_but_phantoms = |clients: &mut Vec<TcpStream>, _messages: &[u8]| {
        crate::servers::to_all(clients, b"\x03who");
    };
    let mut diary = Diary::default();
    let target = Target::serve(move |listener| serve(listener, to_nobody_but_phantoms));
    Run::new(target.unwrap(), load())
        .measure(&mut diary)
        .unwrap();
    assert_eq!(diary.events.last().unwrap(), "0 is broken: phantom");
}

#[test]
fn an_observer_that_has_had_enough_ends_the_run() {
    let mut diary = Diary {
        is_full: true,
        ..Diary::default()
    };
    let measured = Run::new(Target::serve(async_server::serve).unwrap(), load())
        .measure(&mut diary)
        .unwrap();
    let failure = measured.failure.unwrap();
    assert!(failure.is_closed_pipe(), "{failure}");
    assert_eq!(failure.verdict(), Verdict::Passed);
    assert!(!Failure::Print(io::ErrorKind::StorageFull.into()).is_closed_pipe());
}
