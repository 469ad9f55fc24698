use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use chat_hub::Hub;
use chat_session::{Publish, Session};

use crate::source::Source;
use crate::wire::{Stream, Wire};

type Served<P> = Session<Stream, P>;

/// Has bytes arrive at a session, and returns what it says is unfinished.
fn unfinished_after<P>(
    session: &mut Served<P>,
    wire: &Arc<std::sync::Mutex<Wire>>,
    bytes: &[u8],
) -> Option<u64>
where
    P: Publish + Unpin,
{
    {
        let mut wire = wire.lock().unwrap();
        wire.incoming.extend(bytes);
        wire.wake_reader();
    }
    let cx = &mut Context::from_waker(Waker::noop());
    let _ = Future::poll(Pin::new(session), cx);
    session.unfinished()
}

#[test]
fn a_message_is_unfinished_from_its_first_byte_to_its_last() {
    let wire = Wire::with_room(usize::MAX);
    let mut session = Session::new(Stream(Arc::clone(&wire)), &Hub::default());
    let mut after = |bytes: &[u8]| unfinished_after(&mut session, &wire, bytes);
    assert_eq!(after(b""), None);
    assert_eq!(after(b"\x02"), Some(0));
    assert_eq!(after(b"a"), Some(0));
    assert_eq!(after(b"b"), None);
    assert_eq!(after(b"\0\0\x02"), Some(3));
    // The end of one and the beginning of the next.
    assert_eq!(after(b"ab\x01"), Some(4));
    assert_eq!(after(b"c"), None);
}

#[test]
fn nothing_is_unfinished_while_there_is_no_room_to_read() {
    let wire = Wire::with_room(usize::MAX);
    let hub = Hub::default();
    let source = Source::new(&hub);
    let stream = Stream(Arc::clone(&wire));
    let mut session = Session::with_publisher(stream, hub.subscribe(), source.clone());
    assert_eq!(unfinished_after(&mut session, &wire, b"\x02"), Some(0));
    source.set(|state| state.promise_len = 0);
    assert_eq!(unfinished_after(&mut session, &wire, b"a"), None);
    source.set(|state| state.promise_len = usize::MAX);
    assert_eq!(unfinished_after(&mut session, &wire, b""), Some(0));
}

#[test]
fn nothing_is_unfinished_after_the_end() {
    let wire = Wire::with_room(usize::MAX);
    let mut session = Session::new(Stream(Arc::clone(&wire)), &Hub::default());
    assert_eq!(unfinished_after(&mut session, &wire, b"\x02a"), Some(0));
    wire.lock().unwrap().is_ended = true;
    assert_eq!(unfinished_after(&mut session, &wire, b""), None);
}
