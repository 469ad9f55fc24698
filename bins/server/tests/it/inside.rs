/// Commands, and the table of clients.
mod admin;
/// Figures over HTTP.
mod metrics;

use serde_json::Value;

use crate::util::Server;

#[test]
fn the_state_is_logged_again_and_again() {
    let mut server = Server::start_with(&["--stats", "10ms", "--log-format", "json"]);
    let log = server.log_lines();
    let mut client = server.join(b"hello");
    client.send(b"again");
    assert_eq!(client.receive(), b"again");
    let mut states = log.map(|line| serde_json::from_str::<Value>(&line).unwrap());
    let is_it = |state: &Value| state["published"] == 2 && state["delivered_bytes"] == 12;
    let state = states.find(is_it).expect("there is a line for each period");
    assert_eq!(
        (&state["level"], &state["message"]),
        (&"INFO".into(), &"state".into())
    );
    assert_eq!(
        (&state["clients"], &state["dropped"]),
        (&1.into(), &0.into())
    );
    let next = states.next().unwrap();
    assert_eq!(next["published"], 2);
}

#[test]
fn every_line_of_a_log_in_json_is_json() {
    let mut server = Server::start_with(&["--log-format", "json", "--log", "debug"]);
    let log = server.log_lines();
    drop(server.join(b"hello"));
    let lines = log.map(|line| serde_json::from_str::<Value>(&line).unwrap());
    let left = lines.into_iter().find(|line| line["message"] == "left");
    assert_eq!(left.unwrap()["published"], 1);
}
