//! Which clients of a story are connected to which of several servers.

use chat_load::Addrs;
use chat_trace::Topology;

/// Tells where the clients are connected that a story names, in a sentence; `None` where there is but
/// one server.
pub(crate) fn whereabouts(story: &str, topology: Topology, addrs: &Addrs) -> Option<String> {
    let named = topology.readers().filter_map(|client| {
        let role = topology.role(client).to_string();
        names(story, &role).then(|| format!("{role} is connected to {}", addrs.of(client)))
    });
    let named: Vec<String> = named.take(NAMED_MAX).collect();
    (addrs.count() > 1 && !named.is_empty()).then(|| named.join(", "))
}

/// Tells whether a story has a role in it, and not just the beginning of a longer one.
fn names(story: &str, role: &str) -> bool {
    let is_longer = |rest: &str| {
        let mut rest = rest.chars();
        let next = rest.next();
        let after = rest.next();
        let is_digit = |it: Option<char>| it.is_some_and(|it| it.is_ascii_digit());
        is_digit(next) || (next == Some('.') && is_digit(after))
    };
    let places = story.match_indices(role);
    places
        .map(|(place, _)| &story[place + role.len()..])
        .any(|rest| !is_longer(rest))
}

/// How many clients are told of. A judgement: stories are about two, or some more.
const NAMED_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use chat_results::Load;

    use super::*;

    #[test]
    fn the_servers_of_those_are_told_who_are_named() {
        let topology = Topology::of(&Load {
            publishers: 12,
            ..Load::default()
        });
        let [one, two] = ["127.0.0.1:1", "127.0.0.1:2"].map(|addr| addr.parse().unwrap());
        let story = "publisher 11 received it before publisher 2's message";
        let addrs = Addrs::new([one, two]).unwrap();
        assert_eq!(
            whereabouts(story, topology, &addrs).unwrap(),
            "publisher 2 is connected to 127.0.0.1:1, publisher 11 is connected to 127.0.0.1:2"
        );
        assert_eq!(whereabouts(story, topology, &Addrs::from(one)), None);
        assert_eq!(whereabouts("nobody", topology, &addrs), None);
    }
}
