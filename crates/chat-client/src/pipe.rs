//! Connects an input and an output to a server: each line of the input is sent, each message that is
//! received becomes a line of the output.
//!
//! It is exact: [`run`] succeeds only if every message that it sent came back. It never sends faster
//! than it receives its own messages back, so that it loses none of them by itself, however slowly
//! the output is read.

mod flight;
mod input;
mod output;

use std::fmt;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use chat_proto::Unfinished;

use crate::{Form, Framing, RefusedLine, Stream};
use flight::Flight;
use input::{Input, InputError};
use output::{Output, OutputError};

/// How to send and print, and when to end.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// How the input is divided into messages.
    pub framing: Framing,
    /// Whether a line that is too long is sent as several messages, and not refused.
    pub is_splitting: bool,
    /// How messages are printed. `None` is not at all.
    pub form: Option<Form>,
    /// Whether the time of arrival (RFC 3339) comes before each message, and a space.
    pub is_timed: bool,
    /// After how many received messages it is over.
    pub count: Option<u64>,
    /// For how long nothing may be received, from the end of the input on, until it is over.
    pub wait: Option<Duration>,
    /// Whether the connection stays open when the input has ended; then it is a failure when the
    /// server closes it. Otherwise the client ends its sending side, and the server closes when it
    /// has sent everything back.
    pub is_listening: bool,
}

/// Counts of the messages that went through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// How many messages were sent.
    pub sent: u64,
    /// How many of them did not come back.
    pub unreturned: u64,
    /// How many messages were received, those of others included.
    pub received: u64,
    /// How many lines could not be sent.
    pub refused: u64,
    /// Whether the input ended, and all of it was sent.
    pub is_input_over: bool,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.sent, self.unreturned) {
            (0, _) => f.write_str("no message was sent")?,
            (1, 0) => f.write_str("the message that was sent came back")?,
            (sent, 0) => write!(f, "all {sent} messages that were sent came back")?,
            (sent, unreturned) => write!(f, "{unreturned} of {sent} messages did not come back")?,
        }
        if !self.is_input_over {
            f.write_str(", and the input was not sent to its end")?;
        }
        Ok(())
    }
}

/// Something to tell the user while it goes on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Notice {
    /// A line was not sent.
    #[error(transparent)]
    Refused(#[from] RefusedLine),
    /// None of the messages under way has come back for a second. It is said once.
    #[error(
        "{count} of the messages that were sent have not come back for a second; is it a chat server? \
         The rest is sent slowly"
    )]
    Overdue {
        /// How many messages are under way.
        count: u64,
    },
}

/// Says why not everything went through.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipeError {
    /// The connection failed.
    #[error("lost the connection: {source}; {summary}")]
    Lost {
        /// The failure.
        source: io::Error,
        /// Everything that went through until then.
        summary: Summary,
    },
    /// The server closed inside a message.
    #[error("the server closed the connection: {cause}; {summary}")]
    Cut {
        /// How much of the message had arrived.
        cause: Unfinished,
        /// Everything that went through until then.
        summary: Summary,
    },
    /// The server closed, though not everything was sent and received back.
    #[error("the server closed the connection; {0}")]
    Closed(Summary),
    /// Nothing was received for the time that there is for it, though something should have been.
    #[error("nothing more is coming; {0}")]
    Unreturned(Summary),
    /// The input failed; everything that had been read before was sent.
    #[error("cannot read the input: {0}")]
    Input(#[source] io::Error),
    /// The output failed, for another reason than that nobody reads it any more.
    #[error("cannot write the output: {0}")]
    Output(#[source] io::Error),
    /// There is no thread to send from.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
}

/// How the output ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The server closed.
    Closed,
    /// Nothing was sent or received for a while.
    Quiet,
    /// Enough was received, or nobody reads the output any more.
    Enough,
}

/// Connects an input and an output to the server at the far end of `stream`, until the server
/// closes, nobody reads the output any more, or the options say so.
///
/// News for the user goes to `tell` meanwhile. Inputs and outputs that do not block are
/// waited for. A thread reads the input; it is left behind, and ends with the process or with the input,
/// when it is over before the input is.
///
/// # Errors
///
/// [`PipeError`] when not everything was sent and received back; with [`Options::count`], or when
/// nobody reads the output any more, that is no error.
///
/// # Examples
///
/// ```
/// use std::{fs::File, io::Write, net::{TcpListener, TcpStream}};
/// use chat_client::{Form, pipe};
///
/// // A server for one client sends everything back.
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let stream = TcpStream::connect(listener.local_addr()?)?;
/// std::thread::spawn(move || {
///     let (client, _) = listener.accept().unwrap();
///     std::io::copy(&mut &client, &mut &client)
/// });
///
/// let (input, mut writer) = std::io::pipe()?;
/// writer.write_all(b"hello\nworld\n")?;
/// drop(writer);
/// let output = File::create("/dev/null")?;
/// let options = pipe::Options { form: Some(Form::Raw), ..Default::default() };
/// let summary = pipe::run(stream, input, output, &options, |notice| eprintln!("{notice}"))?;
/// assert_eq!((summary.sent, summary.unreturned, summary.received), (2, 0, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn run(
    stream: impl Into<Stream>,
    input: impl Read + AsFd + Send + 'static,
    output: impl Write + AsFd,
    options: &Options,
    tell: impl FnMut(Notice) + Send + 'static,
) -> Result<Summary, PipeError> {
    let stream: Arc<Stream> = Arc::new(stream.into());
    let flight = Arc::new(Flight::default());
    let sent = start_sending(&stream, &flight, input, options, tell)?;
    let output = Output::new(&stream, &flight, output, options);
    let ended = output.run();
    // When the server has closed, an input that has nothing to say may still be about to end.
    let patience = match ended {
        Ok(End::Closed) => INPUT_END_TIME,
        _ => Duration::ZERO,
    };
    let sent = sent.recv_timeout(patience).ok();
    let summary = flight.summary(matches!(sent, Some(Ok(()))));
    flight.end();
    judge(ended, sent, summary, options)
}

/// Starts the thread that sends the input. How it ended comes out of the channel.
fn start_sending(
    stream: &Arc<Stream>,
    flight: &Arc<Flight>,
    input: impl Read + AsFd + Send + 'static,
    options: &Options,
    tell: impl FnMut(Notice) + Send + 'static,
) -> Result<mpsc::Receiver<Result<(), InputError>>, PipeError> {
    let (stream, flight) = (Arc::clone(stream), Arc::clone(flight));
    let is_listening = options.is_listening;
    let (sender, receiver) = mpsc::channel();
    let input = Input::new(
        Arc::clone(&stream),
        Arc::clone(&flight),
        input,
        options,
        tell,
    );
    let send = move || {
        let ended = input.run();
        // Before the shutdown, so that the receiving side knows it when the server answers that. Nobody asks
        // when it is over already.
        flight.end_input();
        let _ = sender.send(ended);
        if !is_listening {
            // It fails only when the connection is gone, which receiving finds.
            let _ = stream.end_sending();
        }
    };
    let thread = thread::Builder::new().name("send".to_owned()).spawn(send);
    thread.map(|_| receiver).map_err(PipeError::Thread)
}

/// Judges the whole by the ends of both sides.
fn judge(
    ended: Result<End, OutputError>,
    sent: Option<Result<(), InputError>>,
    summary: Summary,
    options: &Options,
) -> Result<Summary, PipeError> {
    // A client that listens, or counts, wants more than the server's end.
    let wants_more = options.is_listening || options.count.is_some();
    let is_whole = summary.unreturned == 0 && summary.is_input_over;
    match (ended, sent) {
        (Err(OutputError::Output(error)), _) if error.kind() == io::ErrorKind::BrokenPipe => {
            Ok(summary)
        }
        (Err(OutputError::Output(error)), _) => Err(PipeError::Output(error)),
        (Ok(End::Enough), _) => Ok(summary),
        (_, Some(Err(InputError::Input(error)))) => Err(PipeError::Input(error)),
        (Err(OutputError::Cut(cause)), _) => Err(PipeError::Cut { cause, summary }),
        (Err(OutputError::Stream(source)), _) => Err(PipeError::Lost { source, summary }),
        // The system tells the cause once, to whichever side asks first. A broken pipe only repeats
        // that the connection is closed.
        (Ok(_), Some(Err(InputError::Stream(source))))
            if source.kind() != io::ErrorKind::BrokenPipe =>
        {
            Err(PipeError::Lost { source, summary })
        }
        (Ok(End::Closed), _) if wants_more || !is_whole => Err(PipeError::Closed(summary)),
        (Ok(End::Quiet), _) if options.count.is_some() || !is_whole => {
            Err(PipeError::Unreturned(summary))
        }
        (Ok(_), _) => Ok(summary),
    }
}

/// How long an input may take to end after the server has. A judgement: it has ended, or has more.
const INPUT_END_TIME: Duration = Duration::from_millis(200);
