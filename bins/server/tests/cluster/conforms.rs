use std::fs;
use std::os::unix::fs::PermissionsExt;

use chat_conform::Suite;

use crate::nats::{Nats, is_installed};

#[test]
fn a_server_of_a_cluster_conforms() {
    if !is_installed() {
        return;
    }
    let nats = Nats::start_with("jetstream { store_dir: \"DIR/js\", max_mem: 1G, max_file: 1T }");
    // Each start is another room.
    let path = std::env::temp_dir().join(format!("chat-server-cluster-{}", std::process::id()));
    let script = format!(
        "#!/bin/sh\nexec {} \"$@\" --cluster {} --cluster-stream room-$$ --node only \
         --cluster-replicas 1 --cluster-max-bytes 128MiB\n",
        env!("CARGO_BIN_EXE_chat-server"),
        nats.url()
    );
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let report = Suite::new(&path).strict(true).run().unwrap();
    fs::remove_file(&path).unwrap();
    assert!(report.has_passed(), "{report}");
}
