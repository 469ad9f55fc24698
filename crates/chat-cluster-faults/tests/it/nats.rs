use chat_cluster_faults::Nats;

use crate::installed::nats;

#[test]
fn servers_find_each_other_again_after_a_kill_and_a_cut() {
    let Some(executable) = nats() else { return };
    let dir = std::env::temp_dir().join(format!("chat-nats-alone-{}", std::process::id()));
    let mut nats = Nats::start(&executable, &dir, None).unwrap();
    assert_eq!(nats.addrs().len(), Nats::COUNT);
    assert_eq!(nats.stream("nothing"), None);
    nats.kill(1);
    assert!(!nats.is_running(1) && nats.is_running(2));
    nats.restart(1).unwrap();
    nats.wait_healthy().unwrap();
    nats.cut_off(0);
    nats.join_again(0);
    nats.wait_healthy().unwrap();
    drop(nats);
    std::fs::remove_dir_all(&dir).unwrap();
}
