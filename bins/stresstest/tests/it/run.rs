use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// What a run says whose load was limited by the load tester, or by the machine.
const GENERATOR_BOUND: &str = "error: inconclusive: generator-bound: ";

/// What it goes on to say where a threshold holds.
const MAY_BE_THE_REASON: &str = "so it may be the reason why ";

/// A run of stresstest that has ended.
pub(crate) struct Run {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: Option<i32>,
    pub(crate) was_server_started: bool,
}

impl Run {
    /// Fails unless the exit code is `code` and standard error has all of `told`. A run that should pass
    /// may be inconclusive, too, where this machine had no time for the load tester, and so may one
    /// that should fall short of a threshold: that says nothing of what is tested here.
    #[track_caller]
    pub(crate) fn check(&self, code: i32, told: &[&str]) {
        let Self {
            stdout,
            stderr,
            code: found,
            ..
        } = self;
        let is_bound = *found == Some(5) && stderr.contains(GENERATOR_BOUND);
        if code == 4 && is_bound && stderr.contains(MAY_BE_THE_REASON) {
            return;
        }
        let is_as_expected = *found == Some(code) || code == 0 && is_bound;
        assert!(
            is_as_expected,
            "{found:?} and not {code}; stdout:\n{stdout}\nstderr:\n{stderr}"
        );
        for part in told {
            assert!(stderr.contains(part), "{part:?} is missing in:\n{stderr}");
        }
    }

    /// Reads the results that the run wrote to `path`.
    #[track_caller]
    pub(crate) fn results(&self, path: &Path) -> Value {
        let results = std::fs::read_to_string(path)
            .unwrap_or_else(|error| panic!("{error}\n{}", self.stderr));
        serde_json::from_str(&results).unwrap()
    }

    /// Fails unless standard output has three lines an iteration, with the classic default options
    /// but `messages` and `iterations`, and `received` deliveries in each.
    #[track_caller]
    pub(crate) fn check_lines(&self, messages: u32, iterations: usize, received: &[u32]) {
        let lines: Vec<&str> = self.stdout.lines().collect();
        assert_eq!(lines.len(), 3 * iterations, "{}", self.stdout);
        let sent = 2 * 3 * messages;
        for (iteration, lines) in lines.chunks(3).enumerate() {
            let received = received[iteration];
            let rate = f64::from(sent - received) / f64::from(sent);
            assert_eq!(
                lines[0],
                format!(
                    "iteration {iteration} out of {iterations}: launching 2 publishers, each sending {messages} messages to 3 subscribers..."
                )
            );
            assert_eq!(
                lines[1],
                format!(
                    "successfully received {received} messages out of {sent} sent (= drop rate of {rate})"
                )
            );
            let took = lines[2]
                .strip_prefix("took ")
                .and_then(|rest| rest.strip_suffix(" seconds"))
                .expect("a third line");
            let (_, decimals) = took.split_once('.').expect("decimals");
            assert!(decimals.len() == 2 && took.parse::<f64>().is_ok(), "{took}");
        }
    }
}

/// Runs stresstest with `options` on the server with this fault, which may have options of its own
/// behind it. No process of the server's group may be left after it.
#[track_caller]
pub(crate) fn run(fault: &str, options: &[&str]) -> Run {
    Running::start(fault, options).wait()
}

/// Runs stresstest, which writes its results, and returns both.
#[track_caller]
pub(crate) fn measure(name: &str, fault: &str, options: &[&str]) -> (Run, Value) {
    let path = path(name);
    let run = run(
        fault,
        &[options, &["--json", path.to_str().unwrap()]].concat(),
    );
    let results = run.results(&path);
    (run, results)
}

#[track_caller]
pub(crate) fn number(results: &Value, pointer: &str) -> f64 {
    results
        .pointer(pointer)
        .and_then(Value::as_f64)
        .unwrap_or_else(|| panic!("no {pointer} in {results:#}"))
}

/// A run of stresstest under way.
pub(crate) struct Running {
    pub(crate) child: Child,
    pid_file: PathBuf,
}

impl Running {
    pub(crate) fn start(fault: &str, options: &[&str]) -> Self {
        let server = server();
        assert!(
            server.exists(),
            "{} is missing: `cargo test -p stresstest` builds it",
            server.display()
        );
        Self::start_command(
            stresstest()
                .args(["-a", "127.0.0.1:0"])
                .args(options)
                .arg(server)
                .arg("--")
                .args(fault.split(' ')),
        )
    }

    /// Starts any command line that starts stresstest.
    pub(crate) fn start_command(command: &mut Command) -> Self {
        Self::start_with_outputs(command, [Stdio::piped(), Stdio::piped()])
    }

    /// Starts any command line that starts stresstest, with this standard output and standard
    /// error.
    pub(crate) fn start_with_outputs(command: &mut Command, [stdout, stderr]: [Stdio; 2]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "server-{}-{}.pid",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let pid_file = path(&name);
        command
            .env("WRONG_SERVER_PID_FILE", &pid_file)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr);
        Self {
            child: command.spawn().unwrap(),
            pid_file,
        }
    }

    /// Waits until the server has been started.
    pub(crate) fn wait_for_server(&self) {
        for _ in 0..DEADLINE.as_millis() {
            if read_pid(&self.pid_file).is_some() {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
        panic!("no server was started");
    }

    /// Waits until any process has been started, which leads a group, and returns its id.
    pub(crate) fn wait_for_child(&self) -> String {
        let is_child = |process: &Process| process.parent == self.child.id().to_string();
        for _ in 0..DEADLINE.as_millis() {
            if let Some(child) =
                processes().find(|process| is_child(process) && process.leads_group())
            {
                return child.group;
            }
            thread::sleep(Duration::from_millis(1));
        }
        panic!("no process was started");
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    #[track_caller]
    pub(crate) fn wait(self) -> Run {
        let pid = Pid::from_child(&self.child);
        let (sender, receiver) = mpsc::channel();
        let child = self.child;
        let waiting = thread::spawn(move || sender.send(child.wait_with_output()));
        let Ok(output) = receiver.recv_timeout(DEADLINE) else {
            kill_process(pid, Signal::KILL).unwrap();
            panic!("stresstest did not end within {DEADLINE:?}");
        };
        waiting.join().unwrap().unwrap();
        let Output {
            status,
            stdout,
            stderr,
        } = output.unwrap();
        let server = read_pid(&self.pid_file);
        if let Some(server) = server {
            std::fs::remove_file(&self.pid_file).unwrap();
            let left = processes_of_group(server);
            assert!(left.is_empty(), "left behind: {left:?}");
        }
        Run {
            stdout: text(stdout),
            stderr: text(stderr),
            code: status.code(),
            was_server_started: server.is_some(),
        }
    }
}

/// Returns the path of a file or directory of the tests, where nothing is.
pub(crate) fn path(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    // Both fail where nothing was.
    let _ = std::fs::remove_dir_all(&path);
    let _ = std::fs::remove_file(&path);
    path
}

/// Returns a command for stresstest without arguments.
pub(crate) fn stresstest() -> Command {
    Command::new(env!("CARGO_BIN_EXE_stresstest"))
}

/// Returns the path of the server, which cargo puts beside the binary with all other examples.
pub(crate) fn server() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_stresstest"))
        .with_file_name("examples")
        .join("wrong_server")
}

/// Lists the processes of a group that still run.
fn processes_of_group(group: i32) -> Vec<String> {
    processes()
        .filter(|process| process.group == group.to_string())
        .map(|process| process.stat)
        .collect()
}

/// Tells whether the process that leads a group still runs.
pub(crate) fn is_running(group: &str) -> bool {
    processes().any(|process| process.group == group && process.leads_group())
}

/// A process that is no zombie.
struct Process {
    stat: String,
    parent: String,
    group: String,
}

impl Process {
    fn leads_group(&self) -> bool {
        self.stat.split(' ').next() == Some(&self.group)
    }
}

/// Lists all processes.
fn processes() -> impl Iterator<Item = Process> {
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| {
            // Whoever ends in the meantime is none.
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            // Source: proc_pid_stat(5): pid (comm) state ppid pgrp …
            let (_, fields) = stat.rsplit_once(')')?;
            let mut fields = fields.split_whitespace().map(str::to_owned);
            let (state, parent, group) = (fields.next()?, fields.next()?, fields.next()?);
            (state != "Z").then_some(Process {
                stat,
                parent,
                group,
            })
        })
}

fn read_pid(pid_file: &Path) -> Option<i32> {
    std::fs::read_to_string(pid_file).ok()?.parse().ok()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// How long any run may take.
const DEADLINE: Duration = Duration::from_secs(60);
