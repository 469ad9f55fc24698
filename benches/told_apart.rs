//! How often a comparison tells servers apart: one that takes a tenth more processor time per message, which
//! it is to tell nearly always, and the same server again, which it is to tell hardly ever.
//!
//! ```sh
//! cargo bench --package benches --bench told_apart           # 20 comparisons of each kind
//! cargo bench --package benches --bench told_apart -- 5      # 5 of each
//! cargo bench --package benches --bench told_apart -- 5 one  # with everything on one processor
//! ```
//!
//! It takes about 20 minutes and a machine with nothing else to do. Both kinds take turns, so what the machine
//! does meanwhile is the same for both. The exit code is 1 when the counts are not those that the method
//! promises: at the stated confidence of 95 %, one of 20 comparisons of a server with itself may tell a
//! difference.
//!
//! The executable is the server, too: a thread for each direction of each client over chat-hub. How much
//! processor time a tenth is, a load on it tells first.

use std::hint::black_box;
use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use std::{env, process, thread};

use chat_compare::{Candidate, Comparison, Job, Plan};
use chat_hub::{Config, Publisher, Subscriber};
use chat_proto::blocking::Reader;
use chat_results::comparison::{Figure, Outcome, Placement, Standing};
use chat_results::{Load, Pacing};
use chat_stress::{Interrupt, Launch, Run, Target};
use rustix::time::{ClockId, clock_gettime};

fn main() -> ExitCode {
    // Cargo adds an option of its own.
    let args: Vec<String> = env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match &words[..] {
        [SERVE, steps, addr] => serve(steps, addr),
        [] => compare(COMPARISON_COUNT, Placement::AllProcessors),
        [count] => compare_so_often(count, Placement::AllProcessors),
        [count, "one"] => compare_so_often(count, Placement::OneProcessor),
        _ => Err("a number of comparisons is taken, and `one` for one processor".into()),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::from(2)
    })
}

type Done = Result<ExitCode, Box<dyn std::error::Error>>;

fn compare_so_often(count: &str, placement: Placement) -> Done {
    let count = count.parse().map_err(|error| format!("{count}: {error}"))?;
    compare(count, placement)
}

/// Compares the server with itself and with one that does more, in turns.
fn compare(count: u32, placement: Placement) -> Done {
    let interrupt = Interrupt::on_signals()?;
    let cpu_per_message = cpu_per_message(&interrupt)?;
    let steps = (EXTRA * cpu_per_message.as_secs_f64() / step_time()).round();
    println!(
        "a message takes {cpu_per_message:.1?} of processor time; a tenth is {steps} steps of work"
    );
    let kinds = [
        ("itself", "0".to_owned()),
        ("a tenth more", steps.to_string()),
    ];
    let mut told = [0; 2];
    let mut done = 0;
    for seed in 0..u64::from(count) {
        for (kind, (name, steps)) in kinds.iter().enumerate() {
            let plan = Plan {
                placements: vec![placement],
                ..plan(name, steps, seed)?
            };
            let comparison = plan.run(&interrupt, &mut |_| {});
            if comparison.is_interrupted {
                println!("interrupted");
                return summary(told, done);
            }
            told[kind] += u32::from(tell(seed, name, &comparison)?);
        }
        done += 1;
    }
    summary(told, done)
}

/// Tells of a comparison, and whether it found a difference.
fn tell(seed: u64, name: &str, comparison: &Comparison) -> Result<bool, String> {
    let [workload] = &comparison.workloads[..] else {
        return Err("a comparison has one load".to_owned());
    };
    let [first, second] = &workload.outcomes[..] else {
        return Err("a comparison has two servers".to_owned());
    };
    for Outcome { standing, .. } in [first, second] {
        if let Standing::Wrong { why } | Standing::Stopped { why } = standing {
            return Err(why.clone());
        }
    }
    let mut is_told = false;
    print!("{seed:3} {name:13}");
    for figure in &workload.decided {
        let Some(ratio) = second.ratios.get(figure) else {
            continue;
        };
        is_told |= ratio.is_distinguishable();
        let mark = if ratio.is_distinguishable() { "!" } else { " " };
        let (low, high) = ratio
            .interval
            .map_or((0.0, f64::INFINITY), |it| (it.low, it.high));
        print!(
            " {} {:.3} [{low:.3}, {high:.3}]{mark}",
            figure.name(),
            ratio.value
        );
    }
    println!(
        " {}",
        if is_told {
            "told apart"
        } else {
            "not distinguishable"
        }
    );
    for concern in &workload.concerns {
        println!("    note: {concern}");
    }
    Ok(is_told)
}

/// Tells the counts, and whether they are as the method promises.
fn summary([itself, more]: [u32; 2], count: u32) -> Done {
    println!(
        "the server and itself: not distinguishable in {} of {count}",
        count - itself
    );
    println!("a tenth more work: told apart in {more} of {count}");
    let is_kept = f64::from(itself) <= ITSELF_MAX * f64::from(count)
        && f64::from(more) >= MORE_MIN * f64::from(count);
    println!(
        "{}",
        if is_kept {
            "as promised"
        } else {
            "NOT as promised"
        }
    );
    Ok(if is_kept {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn plan(name: &str, steps: &str, seed: u64) -> io::Result<Plan> {
    let executable = env::current_exe()?;
    let candidate = |name: &str, steps: &str| {
        Candidate::executable(name, &executable, vec![SERVE.to_owned(), steps.to_owned()])
    };
    Ok(Plan {
        candidates: vec![candidate("the server", "0"), candidate(name, steps)],
        jobs: vec![Job {
            decided: vec![Figure::Deliveries, Figure::Effort],
            ..Job::of(load())
        }],
        placements: vec![Placement::AllProcessors],
        rounds: None,
        confidence: 0.95,
        seed,
        has_ceiling: false,
        guard: None,
    })
}

fn load() -> Load {
    Load {
        publishers: 2,
        subscribers: 3,
        messages: None,
        duration: Some(DURATION),
        warmup: DURATION / 5,
        pacing: Pacing::window(100),
        ..Load::default()
    }
}

/// Measures how much processor time the server takes per message, all its deliveries included.
fn cpu_per_message(interrupt: &Interrupt) -> Result<Duration, Box<dyn std::error::Error>> {
    let mut launch = Launch::new(env::current_exe()?, SocketAddr::from(([127, 0, 0, 1], 0)));
    launch.args = vec![SERVE.into(), "0".into()];
    let run = Run::new(Target::Launch(launch), load()).with_interrupt(interrupt);
    let results = run.measure(&mut ())?.results;
    let server = results
        .server
        .ok_or("nothing is known of the server's cost")?;
    let per_delivery = server
        .cpu_us_per_delivery
        .ok_or("the load was too short to tell a cost")?;
    // Every client gets every message.
    let clients = results.load().resident_count();
    Ok(Duration::from_secs_f64(
        1e-6 * per_delivery * clients as f64,
    ))
}

/// Measures how much processor time a step of work takes, in seconds.
fn step_time() -> f64 {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec as f64 + 1e-9 * time.tv_nsec as f64
    };
    let start = now();
    work(STEP_COUNT);
    (now() - start) / f64::from(STEP_COUNT)
}

/// Does so many steps of work, each of which needs the one before.
fn work(steps: u32) {
    let mut state = 1_u64;
    for _ in 0..steps {
        state = black_box(
            state
                .wrapping_mul(6_364_136_223_846_793_005)
                .rotate_left(17),
        );
    }
}

/// Serves until a signal comes, with so many steps of work for each message.
fn serve(steps: &str, addr: &str) -> Done {
    let steps = steps.parse()?;
    // The load tester ends a server when all clients have gone, so there is nothing left to deliver.
    signal_hook::flag::register_conditional_shutdown(
        signal_hook::consts::SIGTERM,
        0,
        Arc::new(AtomicBool::new(true)),
    )?;
    let listener = TcpListener::bind(addr)?;
    let (hub, clock) = Config::default().build_with_clock()?;
    thread::spawn(|| clock.keep_time_blocking(thread::sleep));
    println!("listening on {}", listener.local_addr()?);
    io::stdout().flush()?;
    loop {
        let (stream, _) = listener.accept()?;
        let (subscriber, publisher) = (hub.subscribe(), hub.publisher());
        thread::spawn(move || {
            // A client that is gone is no matter; a panic would be.
            let _ = serve_client(&stream, subscriber, publisher, steps);
        });
    }
}

fn serve_client(
    mut stream: &TcpStream,
    subscriber: Subscriber,
    mut publisher: Publisher,
    steps: u32,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = subscriber.into_writer();
    let ender = writer.ender();
    thread::scope(|scope| {
        scope.spawn(move || {
            read(stream, &mut publisher, steps);
            ender.end_at(publisher.position());
        });
        let written = writer.write_blocking(&mut stream);
        stream.shutdown(Shutdown::Both)?;
        written.map_err(io::Error::other)
    })
}

fn read(stream: &TcpStream, publisher: &mut Publisher, steps: u32) {
    let mut reader = Reader::new(stream);
    while let Ok(mut messages) = reader.next_messages()
        && !messages.is_empty()
    {
        messages.iter().for_each(|_| work(steps));
        if publisher.publish_blocking(&mut messages).is_err() {
            process::exit(1);
        }
    }
}

/// The first argument of the server.
const SERVE: &str = "serve";

/// How many comparisons of each kind there are when nothing is said, and how many of them may and must tell
/// a difference.
const COMPARISON_COUNT: u32 = 20;
const ITSELF_MAX: f64 = 0.05;
const MORE_MIN: f64 = 0.9;

/// How much more work a message is.
const EXTRA: f64 = 0.1;

/// How long publishers send in a round. A judgement: long enough that a round differs from the next by
/// less than a tenth on a quiet machine.
const DURATION: Duration = Duration::from_secs(1);

/// How many steps are timed. A judgement: a fifth of a second.
const STEP_COUNT: u32 = 100_000_000;
