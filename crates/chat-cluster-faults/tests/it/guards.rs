use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use chat_cluster_faults::{Nats, Settings, find_nats};

/// Set in a process that starts servers and is killed: where they keep their files.
const VICTIM: &str = "CHAT_CLUSTER_FAULTS_VICTIM";

#[test]
fn servers_end_with_a_test_that_is_killed() {
    let Some(executable) = find_nats() else {
        assert!(std::env::var_os("CI").is_none(), "nats-server is missing");
        eprintln!("skipped: nats-server is not installed (Debian: apt-get install nats-server)");
        return;
    };
    if let Some(dir) = std::env::var_os(VICTIM) {
        let guard = Settings::new(&executable, "").guard;
        let nats = Nats::start(&executable, dir.as_ref(), guard.as_deref()).unwrap();
        for addr in nats.addrs() {
            eprintln!("serves {addr}");
        }
        loop {
            thread::park();
        }
    }
    let dir = std::env::temp_dir().join(format!("chat-guards-{}", std::process::id()));
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("guards::servers_end_with_a_test_that_is_killed")
        .env(VICTIM, &dir)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(victim.stderr.take().unwrap()).lines();
    let addrs = lines.map_while(Result::ok).filter_map(|line| {
        let addr = line.strip_prefix("serves ")?;
        addr.parse::<SocketAddr>().ok()
    });
    let addrs: Vec<SocketAddr> = addrs.take(Nats::COUNT).collect();
    victim.kill().unwrap();
    victim.wait().unwrap();
    assert_eq!(addrs.len(), Nats::COUNT);
    let deadline = Instant::now() + Duration::from_secs(60);
    while addrs.iter().any(|addr| TcpStream::connect(addr).is_ok()) {
        assert!(Instant::now() < deadline, "a server stayed behind");
        thread::sleep(Duration::from_millis(20));
    }
    std::fs::remove_dir_all(&dir).unwrap();
}
