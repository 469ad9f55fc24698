//! A client's socket.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_io::Timer;
use async_std::io::{Read, Write};
use async_std::net::TcpStream;
use futures::FutureExt;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;

use crate::patience::Taking;
use crate::serving::Connection;
use crate::stream::Stream;
use crate::tls;

/// The socket of a client, as a session needs it.
///
/// Closing it sends the end to the client. What is still to be read after that ends when the client
/// does, or when it has sent nothing for a short while.
#[derive(Debug)]
pub(crate) struct Socket<S = TcpStream> {
    stream: S,
    sending: Sending,
    /// Whether it is still to be seen if the client takes this for an address with TLS.
    is_suspect: bool,
    /// How many times in a row the socket took nothing.
    vain_count: u8,
    /// How many bytes the socket has taken.
    taken: u64,
    /// The time until the socket is looked at again. Most sockets never need one.
    pause: Option<Box<Pause>>,
}

/// The stages of the sending side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    Open,
    /// Nothing more is written; the system has something that it has not sent.
    Finishing,
    /// The client has been told that nothing more comes.
    Ended,
}

#[derive(Debug)]
struct Pause {
    timer: Timer,
    duration: Duration,
}

impl<S: Stream> Socket<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            sending: Sending::Open,
            is_suspect: false,
            vain_count: 0,
            taken: 0,
            pause: None,
        }
    }

    /// Fails for a client that begins with the hello of TLS. Others would get it as messages.
    pub(crate) fn refuse_tls(mut self) -> Self {
        self.is_suspect = true;
        self
    }

    /// Writes, when the socket is not to be left alone.
    fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.poll_pause(cx));
            let taken = write(Pin::new(&mut self.stream), cx);
            if let Poll::Ready(taken) = taken {
                self.taken += taken.as_ref().map_or(0, |&len| len as u64);
                self.vain_count = 0;
                self.pause = None;
                return Poll::Ready(taken);
            }
            self.vain_count = self.vain_count.saturating_add(1);
            if self.vain_count < VAIN_MAX || !self.is_writable() {
                self.pause = None;
                return Poll::Pending;
            }
            // The socket has room, and the kernel no memory. It would have us try for ever.
            self.begin_pause(VAIN_PAUSE_MAX);
        }
    }

    /// Begins a pause, twice as long as the one before, but no longer than `max`.
    fn begin_pause(&mut self, max: Duration) {
        let before = self.pause.as_ref().map(|pause| pause.duration);
        let duration = before.map_or(PAUSE_MIN, |before| (2 * before).min(max));
        self.set_pause(duration);
    }

    fn set_pause(&mut self, duration: Duration) {
        let timer = Timer::after(duration);
        self.pause = Some(Box::new(Pause { timer, duration }));
    }

    /// Waits for the end of the pause, if there is one.
    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.pause {
            Some(pause) => pause.timer.poll_unpin(cx).map(drop),
            None => Poll::Ready(()),
        }
    }

    /// Tells whether the system says that the socket takes more.
    fn is_writable(&self) -> bool {
        let mut polled = [PollFd::new(&self.stream, PollFlags::OUT)];
        poll(&mut polled, Some(&Timespec::default())) != Ok(0)
    }

    /// Returns how many bytes the system has not sent. It does not tell, but it tells whether there are
    /// fewer than some number.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn unsent_len(&self) -> u32 {
        let socket = SockRef::from(&self.stream);
        let Ok(before) = socket.tcp_notsent_lowat() else {
            return 0;
        };
        let (mut len, mut more) = (0, UNSENT_LEN_MAX);
        while more - len > 1 {
            let middle = len.midpoint(more);
            let is_fewer = socket.set_tcp_notsent_lowat(middle).is_err() || self.is_writable();
            *(if is_fewer { &mut more } else { &mut len }) = middle;
        }
        // Where it fails, the connection is gone.
        let _ = socket.set_tcp_notsent_lowat(before);
        len
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn unsent_len(&self) -> u32 {
        0
    }

    /// Has the system say that the socket takes more only when it has sent everything.
    fn begin_to_finish(&mut self) -> io::Result<()> {
        self.sending = Sending::Finishing;
        self.pause = None;
        self.stream.await_sent()
    }

    /// Waits until everything has been sent. A client that may still send must have it before this
    /// end is closed, since what it sends after that makes its system throw away what is still on
    /// the way; and one that takes nothing is to be found out as long as it has a session.
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.poll_pause(cx));
            if self.is_writable() {
                return Poll::Ready(());
            }
            self.begin_pause(FINISH_PAUSE_MAX);
        }
    }
}

impl<S: Stream> Connection for Socket<S> {
    /// What the system has not sent is what the client and the network have no room for.
    fn taking(&self) -> Taking {
        match self.unsent_len() {
            0 => Taking::All,
            unsent_len => Taking::Some(self.taken.saturating_sub(unsent_len.into())),
        }
    }

    /// It would keep that for minutes otherwise, for a client that takes nothing.
    fn reset_on_drop(&self) {
        // Where it fails, the connection is gone already.
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }
}

impl<S: Stream> Read for Socket<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let socket = self.get_mut();
        let mut read = Pin::new(&mut socket.stream).poll_read(cx, buf);
        if socket.is_suspect
            && let Poll::Ready(Ok(len)) = read
        {
            socket.is_suspect = false;
            tls::refuse_hello(&buf[..len])?;
        }
        if socket.sending == Sending::Ended {
            if read.is_ready() {
                socket.pause = None;
            } else {
                if socket.pause.is_none() {
                    socket.set_pause(LINGER);
                }
                read = socket.poll_pause(cx).map(|()| Ok(0));
            }
        }
        read
    }
}

impl<S: Stream> Write for Socket<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut()
            .poll_take(cx, |stream, cx| stream.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut()
            .poll_take(cx, |stream, cx| stream.poll_write_vectored(cx, bufs))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    /// Ends the sending side, so that the client sees the end. A stream of async-std does that only
    /// when it is dropped.
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        if socket.sending == Sending::Open {
            socket.begin_to_finish()?;
        }
        ready!(socket.poll_finish(cx));
        socket.sending = Sending::Ended;
        socket.pause = None;
        match socket.stream.shutdown(Shutdown::Write) {
            // The client is gone already; there is nobody to see the end.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            result => Poll::Ready(result),
        }
    }
}

/// After how many tries in a row that took nothing a socket is suspected to have room that the
/// kernel has no memory for. A judgement: a try costs a microsecond.
const VAIN_MAX: u8 = 8;

/// How long a socket is left alone at first.
const PAUSE_MIN: Duration = Duration::from_millis(10);

/// How long a socket that the kernel has no memory for is left alone at most. A judgement: at a
/// second, thousands of them cost a few hundredths of a processor.
const VAIN_PAUSE_MAX: Duration = Duration::from_secs(1);

/// More than the system holds of a client that it cannot send.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT_LEN_MAX: u32 = 1 << 20;

/// How long it takes at most to see that everything has been sent. A judgement: nobody minds.
const FINISH_PAUSE_MAX: Duration = Duration::from_millis(50);

/// How long a client that was told the end may be silent before its connection is closed. A
/// judgement: it has been sent everything by then, so this is for the way, and for what is lost on
/// it once.
const LINGER: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::net::{Ipv4Addr, TcpListener};
    use std::task::Waker;

    use async_io::block_on;

    use super::*;

    /// Returns the two ends of a connection.
    fn connect() -> (std::net::TcpStream, Socket) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        (client, Socket::new(accepted.into()))
    }

    /// Tries to write once, to a kernel that takes nothing; returns whether it was asked.
    fn try_in_vain(socket: &mut Socket, cx: &mut Context<'_>) -> bool {
        let mut is_asked = false;
        let taken = socket.poll_take(cx, |_, _| {
            is_asked = true;
            Poll::Pending
        });
        assert!(taken.is_pending());
        is_asked
    }

    #[test]
    fn a_socket_that_only_seems_to_have_room_is_left_alone_for_a_while() {
        let (_client, mut socket) = connect();
        let cx = &mut Context::from_waker(Waker::noop());
        let asked_count = (0..1000).filter(|_| try_in_vain(&mut socket, cx)).count();
        assert!(
            asked_count < 100,
            "the kernel was asked {asked_count} times"
        );

        // It is asked again later, each time after a longer pause.
        block_on(poll_fn(|cx| socket.poll_pause(cx)));
        let before = socket.pause.as_ref().unwrap().duration;
        socket.begin_pause(VAIN_PAUSE_MAX);
        let expected = (2 * before).min(VAIN_PAUSE_MAX);
        assert_eq!(socket.pause.as_ref().unwrap().duration, expected);

        // It takes something, so everything begins anew.
        let taken = block_on(poll_fn(|cx| {
            socket.poll_take(cx, |_, _| Poll::Ready(Ok(1)))
        }));
        assert_eq!(taken.unwrap(), 1);
        assert!(socket.pause.is_none());
        assert!(try_in_vain(&mut socket, cx));
    }

    #[test]
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn what_is_not_sent_is_known_exactly() {
        let (client, mut socket) = connect();
        let lowat = |socket: &Socket| SockRef::from(&socket.stream).tcp_notsent_lowat().unwrap();
        let before = 64 << 10;
        SockRef::from(&socket.stream)
            .set_tcp_notsent_lowat(before)
            .unwrap();
        let cx = &mut Context::from_waker(Waker::noop());
        assert_eq!(socket.taking(), Taking::All);
        let mut written = 0;
        while let Poll::Ready(len) = Pin::new(&mut socket).poll_write(cx, &[0; 5000]) {
            written += len.unwrap() as u64;
        }
        let Taking::Some(taken) = socket.taking() else {
            panic!("there is something that is not sent");
        };
        assert!(taken < written);
        // Nothing has happened in between.
        assert_eq!(socket.taking(), Taking::Some(taken));
        assert_eq!(lowat(&socket), before);
        client
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let mut read = io::Read::take(&client, written);
        io::copy(&mut read, &mut io::sink()).unwrap();
        assert_eq!(socket.taking(), Taking::All);
    }

    #[test]
    fn a_socket_that_is_full_is_asked_whenever_it_may_have_room() {
        let (_client, mut socket) = connect();
        let cx = &mut Context::from_waker(Waker::noop());
        while Pin::new(&mut socket).poll_write(cx, &[0; 65536]).is_ready() {}
        let asked_count = (0..1000).filter(|_| try_in_vain(&mut socket, cx)).count();
        assert_eq!(asked_count, 1000);
    }
}
