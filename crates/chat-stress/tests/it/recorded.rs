use std::io::{self, Write};

use chat_stress::{RecheckError, Rechecked, Run, Target, Verdict, recheck};

use crate::servers::{async_server, load};

#[test]
fn what_was_recorded_is_judged_again() {
    let mut recording = Vec::new();
    let measured = Run::new(Target::serve(async_server::serve).unwrap(), load())
        .with_record(&mut recording)
        .measure(&mut ())
        .unwrap();
    measured.assert_proved();
    assert!(measured.unrecorded.is_none());

    let mut rechecked: Vec<Rechecked> = Vec::new();
    recheck(&recording[..], |kept| {
        rechecked.push(*kept);
        Ok(())
    })
    .unwrap();
    let [only] = rechecked[..] else {
        panic!("{rechecked:?}");
    };
    assert!(only.is_complete && only.messages >= 400 && only.deliveries >= 3200);

    let cut = recheck(&recording[..recording.len() - 1], |_| Ok(())).unwrap_err();
    assert!(matches!(cut, RecheckError::Recording(_)), "{cut}");
    assert!(matches!(cut.verdict(), Verdict::Stopped { .. }));
}

#[test]
fn that_it_could_not_be_recorded_ends_no_run() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let measured = Run::new(Target::serve(async_server::serve).unwrap(), load())
        .with_record(&mut Full)
        .measure(&mut ())
        .unwrap();
    measured.assert_proved();
    assert_eq!(
        measured.unrecorded.unwrap().kind(),
        io::ErrorKind::StorageFull
    );
}
