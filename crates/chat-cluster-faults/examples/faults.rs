//! Faults that happen to a whole cluster on this machine, and a table of what they came to.
//!
//! ```text
//! cargo build --release -p chat-server
//! cargo run --release -p chat-cluster-faults --example faults -- target/release/chat-server --runs 10
//! cargo run --release -p chat-cluster-faults --example faults -- target/release/chat-server --minutes 10 --seed 1
//! ```
//!
//! With `--runs N`, each fault happens N times, each time to a new crowd. With `--minutes N`, faults that
//! the seed draws happen one after the other to one crowd. `--nodes N` is the number of chat servers,
//! `--seconds N` how long a fault lasts, `--storage memory|file` where the stream is, and `--fault NAME`
//! has only that one happen. `--nats PATH` names the executable of NATS. Exit code 2 tells that the
//! arguments make no sense, 3 that the promise was broken, and 4 that it was kept, and a chat server failed by
//! itself and was started again, as a service manager does.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::str::FromStr;
use std::time::{Duration, Instant};

use chat_cluster_faults::{Cluster, Fault, Settings, Trial, find_nats, guard};
use fastrand::Rng;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    if guard::run(std::env::args_os().skip(1)).is_some() {
        return ExitCode::SUCCESS;
    }
    let args = match Args::parse() {
        Ok(args) => args,
        Err(error) => {
            eprintln!("faults: {error}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    run(&args).unwrap_or_else(|error| {
        eprintln!("faults: {error}");
        ExitCode::FAILURE
    })
}

fn run(args: &Args) -> Result<ExitCode, Failure> {
    let nats = args.nats.clone().or_else(find_nats);
    let nats = nats.ok_or("nats-server is not in $PATH and not in /usr/sbin")?;
    println!("{}", version(&nats)?);
    let mut settings = Settings::new(nats, Path::new(&args.server));
    settings.node_count = args.node_count;
    settings.guard = std::env::current_exe().ok();
    for arg in &mut settings.args {
        *arg = arg.replace("storage=memory", &format!("storage={}", args.storage));
    }
    settings.disk_len = (args.storage == "file").then_some(DISK_LEN);
    println!("seed {}", args.seed);
    let mut cluster = Cluster::start(&settings)?;
    if settings.disk_len.is_some() && cluster.disks.is_none() {
        println!("no full disks are drawn: the system does not let us mount any");
    }
    let mut worst = Outcome::Kept;
    let played = match args.minutes {
        Some(minutes) => soak(&mut cluster, args, minutes, &mut worst),
        None => table(&mut cluster, args, &mut worst),
    };
    match played {
        // What has been found is worse.
        Err(error) if worst == Outcome::Broken => eprintln!("faults: {error}"),
        played => played?,
    }
    Ok(match worst {
        Outcome::Kept => ExitCode::SUCCESS,
        Outcome::Exited => ExitCode::from(EXIT_EXITED),
        Outcome::Broken => ExitCode::from(EXIT_BROKEN),
    })
}

/// What some trials came to, the worst of all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// The promise was kept.
    Kept,
    /// It was kept, and chat servers failed by themselves.
    Exited,
    /// It was broken.
    Broken,
}

impl Outcome {
    fn of(trial: &Trial) -> Self {
        match (trial.facts.is_kept(), trial.exits.is_empty()) {
            (true, true) => Self::Kept,
            (true, false) => Self::Exited,
            (false, _) => Self::Broken,
        }
    }
}

struct Args {
    server: String,
    runs: u32,
    minutes: Option<f64>,
    seed: u64,
    node_count: usize,
    time: Duration,
    storage: String,
    fault: Option<String>,
    nats: Option<PathBuf>,
}

impl Args {
    fn parse() -> Result<Self, Failure> {
        let mut words = std::env::args().skip(1);
        let server = words
            .next()
            .ok_or("the first argument is the chat server's executable")?;
        let mut args = Self {
            server,
            runs: 1,
            minutes: None,
            seed: fastrand::u64(..),
            node_count: 2,
            time: Duration::from_secs(3),
            storage: "memory".to_owned(),
            fault: None,
            nats: None,
        };
        while let Some(name) = words.next() {
            let value = words
                .next()
                .ok_or_else(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--runs" => args.runs = parse(&name, &value, |it| *it > 0)?,
                "--minutes" => args.minutes = Some(parse(&name, &value, is_time)?),
                "--seed" => args.seed = parse(&name, &value, |_| true)?,
                "--nodes" => {
                    args.node_count = parse(&name, &value, |it| (1..=NODES_MAX).contains(it))?
                }
                "--seconds" => args.time = Duration::from_secs_f64(parse(&name, &value, is_time)?),
                "--storage" if ["memory", "file"].contains(&value.as_str()) => args.storage = value,
                "--storage" => {
                    return Err(format!("--storage is memory or file, not {value}").into());
                }
                "--nats" if Path::new(&value).is_file() => args.nats = Some(value.into()),
                "--nats" => return Err(format!("--nats: there is no file {value}").into()),
                "--fault" => args.fault = Some(value),
                _ => return Err(format!("there is no option {name}").into()),
            }
        }
        if args.faults(args.storage == "file").is_empty() {
            let fault = args.fault.unwrap_or_default();
            let storage = args.storage;
            return Err(format!("there is no fault \"{fault}\" with storage {storage}").into());
        }
        Ok(args)
    }

    fn faults(&self, has_disks: bool) -> Vec<Fault> {
        let is_chosen = |it: &Fault| {
            self.fault
                .as_ref()
                .is_none_or(|name| it.to_string() == *name)
        };
        let faults = Fault::ALL.into_iter().filter(is_chosen);
        // In memory, a stream is gone with most of its servers.
        let is_possible = |it: &Fault| *it != Fault::QuorumLost || self.storage == "file";
        let faults = faults.filter(is_possible);
        faults.filter(|it| has_disks || !it.needs_disks()).collect()
    }
}

/// Asks a server of NATS for its version.
fn version(nats: &Path) -> Result<String, Failure> {
    let output = Command::new(nats).arg("--version").output();
    let output = output.map_err(|error| format!("cannot start {}: {error}", nats.display()))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Reads the value of an option.
fn parse<T: FromStr>(name: &str, value: &str, is_good: impl Fn(&T) -> bool) -> Result<T, Failure> {
    let value_of = value.parse().ok().filter(is_good);
    value_of.ok_or_else(|| format!("{name} cannot be {value}").into())
}

/// Tells whether a time is one that can be waited for.
fn is_time(time: &f64) -> bool {
    (0.0..=TIME_MAX).contains(time)
}

/// What the runs of one fault came to, the sum of each.
#[derive(Default)]
struct Row {
    silences: Vec<Duration>,
    acknowledged: u64,
    lost: u64,
    duplicated: u64,
    reordered: u64,
    exits: usize,
}

impl Row {
    const HEAD: &str = "| fault | runs | median silence | worst silence | acknowledged | lost \
         | duplicated | reordered | ended by themselves |\n|---|---|---|---|---|---|---|---|---|";

    fn add(&mut self, trial: &Trial) {
        self.silences.push(trial.silence);
        self.silences.sort_unstable();
        self.exits += trial.exits.len();
        let facts = &trial.facts;
        self.acknowledged += facts.acknowledged;
        self.lost += facts.lost;
        self.duplicated += facts.duplicated;
        self.reordered += facts.reordered;
    }

    fn print(&self, fault: &str) {
        let count = self.silences.len();
        let silence = |place: usize| self.silences.get(place).map_or(0.0, Duration::as_secs_f64);
        println!(
            "| {fault} | {count} | {:.1} s | {:.1} s | {} | {} | {} | {} | {} |",
            silence(count / 2),
            silence(count.saturating_sub(1)),
            self.acknowledged,
            self.lost,
            self.duplicated,
            self.reordered,
            self.exits
        );
    }
}

/// Has each fault happen some times.
fn table(cluster: &mut Cluster, args: &Args, worst: &mut Outcome) -> Result<(), Failure> {
    println!("{}", Row::HEAD);
    for fault in args.faults(cluster.disks.is_some()) {
        let mut row = Row::default();
        for run in 0..args.runs {
            let seed = args.seed.wrapping_add(run.into());
            let trial = Trial::run(cluster, &[fault], args.time, seed);
            let trial = trial.map_err(|error| error.to_string())?;
            let outcome = Outcome::of(&trial);
            if outcome != Outcome::Kept {
                println!("{fault}, seed {seed}: {}", trial.facts);
                print!("{}", cluster.report());
            }
            *worst = outcome.max(*worst);
            row.add(&trial);
        }
        row.print(&fault.to_string());
    }
    Ok(())
}

/// Has faults happen at random for some time.
fn soak(
    cluster: &mut Cluster,
    args: &Args,
    minutes: f64,
    worst: &mut Outcome,
) -> Result<(), Failure> {
    let (start, time) = (Instant::now(), Duration::from_secs_f64(60.0 * minutes));
    let (mut rng, faults) = (
        Rng::with_seed(args.seed),
        args.faults(cluster.disks.is_some()),
    );
    let mut row = Row::default();
    while start.elapsed() < time {
        let drawn: Vec<Fault> = (0..FAULTS_A_CROWD)
            .filter_map(|_| rng.choice(&faults).copied())
            .collect();
        let lasting = Duration::from_secs_f64(args.time.as_secs_f64() * (0.2 + rng.f64()));
        let seed = rng.u64(..);
        let trial = Trial::run(cluster, &drawn, lasting, seed);
        let trial = trial.map_err(|error| error.to_string())?;
        let outcome = Outcome::of(&trial);
        if outcome != Outcome::Kept {
            print!("{}", cluster.report());
        }
        *worst = outcome.max(*worst);
        row.add(&trial);
        let names: Vec<String> = drawn.iter().map(Fault::to_string).collect();
        println!(
            "{:.0?}: {}; longest silence {:.1} s; {}",
            start.elapsed(),
            names.join(", "),
            trial.silence.as_secs_f64(),
            trial.facts
        );
    }
    println!("{}", Row::HEAD);
    row.print("random");
    Ok(())
}

/// How many faults happen to a crowd, before what it saw is judged. A judgement.
const FAULTS_A_CROWD: usize = 4;

/// How many bytes the disk of a server of NATS has. A judgement: enough for an hour, and soon full.
const DISK_LEN: u64 = 256 << 20;

/// How many chat servers there are at most. A judgement: all are on one machine.
const NODES_MAX: usize = 16;

/// The longest time that an option may be. A judgement: a week of minutes, and far from overflow.
const TIME_MAX: f64 = 10_080.0;

/// The arguments make no sense.
const EXIT_USAGE: u8 = 2;

/// The promise was broken.
const EXIT_BROKEN: u8 = 3;

/// The promise was kept, and a chat server failed by itself.
const EXIT_EXITED: u8 = 4;
