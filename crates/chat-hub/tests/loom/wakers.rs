use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use chat_hub::Hub;

use crate::explore::{EVERY_ORDER, Moment, explore};
use crate::steps::{CAPACITY, behind};
use crate::util::{self, block};

#[test]
fn wakers_may_call_the_hub() {
    static READER: Moment = Moment::new("a waiting subscriber is woken");
    static BLOCKED: Moment = Moment::new("a blocked subscriber is asked");
    static WRITER: Moment = Moment::new("a waiting publisher is woken");
    static CLOSE: Moment = Moment::new("closing wakes a publisher");
    // One thread, one order: it stands here because loom reports a lock that is taken twice, where std would hang.
    explore(EVERY_ORDER, &[&READER, &BLOCKED, &WRITER, &CLOSE], || {
        let hub = util::hub(CAPACITY);
        let waker = |called| Waker::from(Arc::new(CallingWaker { hub: hub.clone(), called }));
        let (mut quick, mut full) = (hub.subscribe(), hub.subscribe());
        assert!(quick.poll_batch(&mut Context::from_waker(&waker(&READER))).is_pending());
        full.block(&mut Context::from_waker(&waker(&BLOCKED)));
        let (slow, _) = behind(&hub);
        block(&mut quick);
        block(&mut full);
        let mut publisher = hub.publisher();
        assert!(publisher.poll_ready(&mut Context::from_waker(&waker(&WRITER))).is_pending());
        drop(slow);
        assert!(publisher.poll_ready(&mut Context::from_waker(&waker(&WRITER))).is_ready());
        let (_slow, _) = behind(&hub);
        assert!(publisher.poll_ready(&mut Context::from_waker(&waker(&CLOSE))).is_pending());
        hub.close();
    });
}

/// A waker that takes the hub's lock.
struct CallingWaker {
    hub: Hub,
    called: &'static Moment,
}

impl Wake for CallingWaker {
    fn wake(self: Arc<Self>) {
        self.hub.stats();
        self.called.comes();
    }
}
