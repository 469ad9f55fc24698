use std::time::Duration;

use chat_stress::{Failure, Load, LoadError, Pacing, Slow, Target, WINDOW_MAX, check_load, run};

#[track_caller]
fn check(load: Load, expected: &str) {
    let error = check_load(&load).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let none = |what: &str| format!("a load needs {what}, and 0 is none");
    let load = Load::default();
    let slow = Slow {
        count: 1,
        bytes_per_s: 0,
    };
    check(
        Load {
            publishers: 0,
            ..load
        },
        &none("publishers"),
    );
    check(
        Load {
            subscribers: 0,
            ..load
        },
        &none("subscribers"),
    );
    check(
        Load {
            repetitions: 0,
            ..load
        },
        &none("repetitions"),
    );
    check(
        Load {
            messages: Some(0),
            ..load
        },
        &none("messages"),
    );
    check(
        Load { slow, ..load },
        &none("bytes a second of slow clients"),
    );
    let endless = "a load needs a number of messages or a duration, or it never ends";
    check(
        Load {
            messages: None,
            ..load
        },
        endless,
    );
    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let pacing = Pacing::Rate(rate);
        check(Load { pacing, ..load }, "a rate has to be a number above 0");
    }
    check(
        Load {
            churn: f64::NAN,
            ..load
        },
        "a rate has to be a number above 0",
    );
    let pacing = Pacing::window(WINDOW_MAX + 1);
    check(
        Load { pacing, ..load },
        "a window may be up to 65536 messages",
    );
}

#[test]
fn what_is_too_much_is_refused() {
    let load = Load::default();
    let many = Load {
        publishers: 256,
        subscribers: 256,
        ..load
    };
    check(
        many,
        "65792 clients are too many: publishers times (1 + subscribers) and slow ones may be up to 65536",
    );
    let repetitions = 65_537;
    check(
        Load {
            repetitions,
            ..load
        },
        "repetitions may be up to 65536",
    );
    let heavy = Load {
        publishers: 1,
        subscribers: 999,
        messages: Some(1_000_000),
        ..load
    };
    let Err(LoadError::Memory { memory_len, .. }) = check_load(&heavy) else {
        panic!("it takes gigabytes");
    };
    assert!(memory_len > 2 << 30);
    // For how long it lasts, nobody knows before.
    let lasting = Load {
        messages: None,
        duration: Some(Duration::from_secs(1000)),
        ..heavy
    };
    assert_eq!(check_load(&lasting), Ok(()));
}

#[test]
fn a_load_that_there_cannot_be_starts_no_server() {
    let load = Load {
        publishers: 0,
        ..Load::default()
    };
    let failure = run(Target::executable("/nonexistent/server"), load).unwrap_err();
    assert!(matches!(failure, Failure::Load(_)), "{failure}");
}
