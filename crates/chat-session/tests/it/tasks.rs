use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

/// Which of the tasks that were woken is polled next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// The one that was woken first.
    Fifo,
    /// The one that was woken last.
    Lifo,
}

/// Tasks on one thread.
pub(crate) struct Tasks {
    order: Order,
    tasks: Vec<Task>,
    woken: Arc<Woken>,
}

struct Task {
    /// `None` when it has ended.
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
    waker: Waker,
}

/// The numbers of the tasks that were woken. A task is on the list once at most.
#[derive(Default)]
struct Woken(Mutex<VecDeque<usize>>);

impl Tasks {
    pub(crate) fn new(order: Order) -> Self {
        let (tasks, woken) = (Vec::new(), Arc::default());
        Self {
            order,
            tasks,
            woken,
        }
    }

    /// Begins a task; returns its number.
    pub(crate) fn spawn(&mut self, future: impl Future<Output = ()> + 'static) -> usize {
        let number = self.tasks.len();
        let woken = Arc::clone(&self.woken);
        let waker = Waker::from(Arc::new(Wakes { number, woken }));
        waker.wake_by_ref();
        let future: Pin<Box<dyn Future<Output = ()>>> = Box::pin(future);
        let future = Some(future);
        self.tasks.push(Task { future, waker });
        number
    }

    /// Returns which task is polled next.
    pub(crate) fn next(&self) -> Option<usize> {
        let woken = self.woken.0.lock().unwrap();
        match self.order {
            Order::Fifo => woken.front().copied(),
            Order::Lifo => woken.back().copied(),
        }
    }

    /// Polls one task; returns which.
    pub(crate) fn step(&mut self) -> Option<usize> {
        let number = self.next()?;
        let mut woken = self.woken.0.lock().unwrap();
        woken.retain(|&other| other != number);
        drop(woken);
        let Task { future, waker } = &mut self.tasks[number];
        if let Some(running) = future
            && let Poll::Ready(()) = running.as_mut().poll(&mut Context::from_waker(waker))
        {
            *future = None;
        }
        Some(number)
    }
}

struct Wakes {
    number: usize,
    woken: Arc<Woken>,
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        let mut woken = self.woken.0.lock().unwrap();
        if !woken.contains(&self.number) {
            woken.push_back(self.number);
        }
    }
}
