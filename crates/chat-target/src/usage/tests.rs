use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread;

use super::*;

/// Starts a shell script, which prints a line when it is ready and then waits for its input to
/// end.
fn start(script: &str) -> Child {
    let mut command = Command::new("sh");
    command
        .args(["-c", script])
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command.spawn().unwrap()
}

fn spin(time: Duration) {
    let from = own_cpu();
    while own_cpu() - from < time {}
}

#[test]
fn this_process_is_seen_as_it_sees_itself() {
    let mut observer = Usage::new(std::process::id());
    let process_cpu = || Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap();
    let (before, children_before) = (process_cpu(), children_cpu());
    let load_began = Instant::now();
    observer.begin_load();
    // A thread that ended has worked, too.
    thread::spawn(|| spin(SPIN_TIME)).join().unwrap();
    spin(SPIN_TIME);
    observer.end_load();
    let (own, took) = (process_cpu() - before, load_began.elapsed().as_secs_f64());
    // Other tests start processes and wait for them.
    let children = children_cpu() - children_before;
    let files: Vec<_> = (0..100)
        .map(|_| std::fs::File::open("/dev/null").unwrap())
        .collect();
    observer.sample();
    drop(files);
    let seen = observer.seen(1000).unwrap();
    let cpu = Duration::from_secs_f64(seen.cpu_us_per_delivery.unwrap() * 1000.0 / 1e6);
    assert!(
        cpu > SPIN_TIME * 2 - TICKS && cpu < own + children + TICKS,
        "{cpu:?} of {own:?} and {children:?}"
    );
    assert!(own >= SPIN_TIME * 2, "{own:?}");
    let cpus = seen.cpus.unwrap();
    assert!(
        cpus >= cpu.as_secs_f64() / took && cpus < 1000.0,
        "{seen:?} in {took} s"
    );
    assert!(
        seen.rss_before_kib > 500 && seen.rss_after_kib > 500,
        "{seen:?}"
    );
    assert!(
        seen.rss_peak_kib >= seen.rss_after_kib.max(seen.rss_before_kib),
        "{seen:?}"
    );
    assert!(seen.threads >= 2 && seen.descriptors >= 100, "{seen:?}");
}

#[test]
fn a_whole_group_is_seen_until_it_is_gone() {
    let mut child =
        start("sleep 1000 & one=$!; sleep 1000 & two=$!; echo ready; read line; kill $one $two");
    let mut line = [0; 6];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut line).unwrap();
    let mut observer = Usage::new(child.id());
    observer.begin_load();
    drop(child.stdin.take());
    child.wait().unwrap();
    observer.sample();
    observer.end_load();
    let seen = observer.seen(10).unwrap();
    assert!(seen.threads >= 3, "{seen:?}");
    assert!(
        seen.rss_before_kib > 0
            && seen.rss_after_kib > 0
            && seen.rss_peak_kib >= seen.rss_before_kib,
        "{seen:?}"
    );
    assert_eq!(
        (seen.cpu_us_per_delivery, seen.cpus),
        (None, None),
        "who was gone before it was looked at may have done anything"
    );
}

#[test]
fn processes_that_are_gone_keep_their_time_and_make_room() {
    let mut child = start(
        "n=0; (while [ $n -lt 100000 ]; do n=$((n+1)); done) & echo ready; read line; wait; echo over; read line",
    );
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    std::io::Read::read_exact(&mut stdout, &mut [0; 6]).unwrap();
    let mut observer = Usage::new(child.id());
    observer.begin_load();
    assert_eq!(
        observer.processes.len(),
        2,
        "one that works, or has worked and was not waited for"
    );
    observer.cpu();
    std::io::Write::write_all(&mut stdin, b"\n").unwrap();
    std::io::Read::read_exact(&mut stdout, &mut [0; 5]).unwrap();
    observer.end_load();
    assert_eq!(observer.processes.len(), 1);
    assert!(observer.cpu() >= observer.gone_cpu && observer.seen(1).unwrap().cpus.is_some());
    drop(stdin);
    child.wait().unwrap();
}

#[test]
fn children_that_come_and_go_are_counted() {
    let work = "n=0; while [ $n -lt 20000 ]; do n=$((n+1)); done";
    let mut child = start(&format!(
        "echo ready; read line; for i in 1 2 3 4 5 6 7 8; do sh -c '{work}'; done; echo over; read line"
    ));
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    std::io::Read::read_exact(&mut stdout, &mut [0; 6]).unwrap();
    let mut observer = Usage::new(child.id());
    observer.begin_load();
    std::io::Write::write_all(&mut stdin, b"\n").unwrap();
    std::io::Read::read_exact(&mut stdout, &mut [0; 5]).unwrap();
    observer.end_load();
    let seen = observer.loads.1;
    // The same work, by a child that is waited for here.
    let before = children_cpu();
    for _ in 0..8 {
        Command::new("sh").args(["-c", work]).status().unwrap();
    }
    let work = children_cpu() - before;
    assert!(seen * 2 > work, "{seen:?} of {work:?}");
    drop(stdin);
    child.wait().unwrap();
}

/// Returns the processor time of children that this process has waited for.
fn children_cpu() -> Duration {
    let stat = Process::myself().unwrap().stat().unwrap();
    let ticks = u64::try_from(stat.cutime + stat.cstime).unwrap();
    Duration::from_secs_f64(ticks as f64 / ticks_per_second() as f64)
}

#[test]
fn of_a_process_that_was_gone_before_nothing_is_seen() {
    let mut child = start("true");
    child.wait().unwrap();
    let mut observer = Usage::new(child.id());
    observer.begin_load();
    observer.sample();
    observer.end_load();
    assert_eq!(observer.seen(10), None);
}

/// How long is worked. Much longer than what is allowed for ticks.
const SPIN_TIME: Duration = Duration::from_millis(100);

/// How far figures that come in ticks may be off: a tick each for the time in the kernel and
/// outside, at both ends.
const TICKS: Duration = Duration::from_millis(40);
