//! The binary under test, killed when it outlives its deadline.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

/// How long any wait of a test may take. Judgement: a test takes well under a second, a loaded
/// machine is patient.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A running client. Its input stays open until it is fed or ended, even while it is waited for.
#[derive(Debug)]
pub(crate) struct Client {
    child: Arc<Mutex<Child>>,
    input: Option<ChildStdin>,
    output: Option<BufReader<ChildStdout>>,
    errors: JoinHandle<String>,
    // Ends the watchdog when it is dropped.
    watched: mpsc::Sender<()>,
    watchdog: JoinHandle<()>,
}

impl Client {
    /// Starts a client of the server at `address`.
    pub(crate) fn start(address: &str) -> Self {
        Self::start_with([address], Stdio::piped(), Stdio::piped())
    }

    /// Starts a client with the given arguments, input and output.
    pub(crate) fn start_with<const N: usize>(args: [&str; N], input: Stdio, output: Stdio) -> Self {
        Self::start_args(args, input, output)
    }

    /// Does the same with any number of arguments.
    pub(crate) fn start_args<'a>(
        args: impl IntoIterator<Item = &'a str>,
        input: Stdio,
        output: Stdio,
    ) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_commandline-client"));
        let mut child = command
            .args(args)
            .stdin(input)
            .stdout(output)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take(), child.stdout.take().map(BufReader::new));
        let errors = child.stderr.take().unwrap();
        let child = Arc::new(Mutex::new(child));
        let (watched, ended) = mpsc::channel();
        let victim = Arc::clone(&child);
        let watchdog = thread::spawn(move || {
            if ended.recv_timeout(DEADLINE) == Err(mpsc::RecvTimeoutError::Timeout) {
                victim.lock().unwrap().kill().unwrap();
            }
        });
        let errors = thread::spawn(move || std::io::read_to_string(errors).unwrap());
        Self {
            child,
            input,
            output,
            errors,
            watched,
            watchdog,
        }
    }

    /// Returns the process id.
    #[cfg(target_os = "linux")]
    pub(crate) fn id(&self) -> u32 {
        self.child.lock().unwrap().id()
    }

    /// Writes to the client's input, and waits until it is taken.
    pub(crate) fn type_in(&mut self, text: &[u8]) {
        self.input.as_mut().unwrap().write_all(text).unwrap();
    }

    /// Closes the client's input.
    pub(crate) fn end_input(&mut self) {
        self.input = None;
    }

    /// Writes all of the client's input in the background and closes it. A client that ends before
    /// does no harm.
    pub(crate) fn feed(&mut self, input: impl Into<Vec<u8>>) {
        let (mut pipe, input) = (self.input.take().unwrap(), input.into());
        thread::spawn(move || pipe.write_all(&input));
    }

    /// Waits for a line of output; it has its newline.
    pub(crate) fn read_line(&mut self) -> String {
        let mut line = String::new();
        self.output.as_mut().unwrap().read_line(&mut line).unwrap();
        line
    }

    /// Closes the reading end of the client's output.
    pub(crate) fn close_output(&mut self) {
        self.output = None;
    }

    /// Waits for the end of the client.
    pub(crate) fn finish(mut self) -> Ended {
        let mut output = Vec::new();
        if let Some(pipe) = &mut self.output {
            pipe.read_to_end(&mut output).unwrap();
        }
        let errors = self.errors.join().unwrap();
        // Only now, when its pipes are closed: the watchdog needs the lock to kill it.
        let code = self.child.lock().unwrap().wait().unwrap().code();
        drop(self.watched);
        self.watchdog.join().unwrap();
        let code = code.unwrap_or_else(|| panic!("killed at its deadline, having said {errors:?}"));
        Ended {
            code,
            output,
            errors,
        }
    }
}

/// What came of a client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) output: Vec<u8>,
    pub(crate) errors: String,
}

/// Runs a client of the server at `address` with the given input.
pub(crate) fn run(address: &str, input: impl Into<Vec<u8>>) -> Ended {
    let mut client = Client::start(address);
    client.feed(input);
    client.finish()
}
