//! The ten rules of the specification, in its own words.

/// A rule of the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    number: usize,
}

impl Rule {
    /// Returns all rules in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (1..=RULES.len()).map(|number| Self { number })
    }

    /// Returns the rule that the id of a case begins with.
    pub(crate) fn of_id(id: &str) -> Self {
        let number = id
            .strip_prefix("rule-")
            .and_then(|rest| rest.split('/').next()?.parse().ok());
        Self {
            number: number.expect("the ids of all cases begin with a rule"),
        }
    }

    /// Returns its number, from 1 to 10.
    pub fn number(self) -> usize {
        self.number
    }

    /// Returns its name.
    pub fn name(self) -> &'static str {
        RULES[self.number - 1].0
    }

    /// Returns its words.
    pub fn words(self) -> &'static str {
        RULES[self.number - 1].1
    }
}

/// Name and words of each rule.
///
/// Source: `SPEC.md` of chat-proto, which a test compares it with.
const RULES: [(&str, &str); 10] = [
    (
        "Executable",
        "The server is an executable. Its one required argument is the IP address and port it \
         listens on. It runs until it is told to end.",
    ),
    (
        "Ready line",
        "Once clients can connect, the server prints a single line to standard output and flushes \
         it: `listening on ADDRESS`. Given port 0, the line carries the port the system chose. \
         Nothing else ever goes to standard output; logs go to standard error.",
    ),
    (
        "Message",
        "A message is one header byte followed by a body. The header's value is the length of the \
         body in bytes, 0 to 255. A message with an empty body is a message like any other.",
    ),
    (
        "Broadcast",
        "Each message that arrives from any client is forwarded to every connected client, its \
         sender included.",
    ),
    (
        "Order",
        "All messages stand in one total order, and each client receives a subsequence of it. The \
         messages of one sender stay in the order they were sent. The order is causal: if a \
         sender sends a message after it received another, the message stands after that other.",
    ),
    (
        "Drops",
        "The server may leave messages out for a client that does not keep up: only whole \
         messages, and only for that client. A client keeps up as long as it takes everything \
         that the server has for it, or takes bytes at no less than a rate that the server \
         states. A socket that is full for a moment, of a client that goes on reading, does not \
         end that. The server slows senders down to the clients that keep up. A client that takes \
         less than the rate for longer than a short grace, which the server states too, does not \
         keep up until it has taken everything there is for it. Slowness alone never costs a \
         client its connection, unless the server was told so; a client that never reads is \
         legal.",
    ),
    (
        "Joining",
        "A client receives whole messages from the start, and misses nothing that stands after \
         its own first message.",
    ),
    (
        "End inside a message",
        "When a client's stream ends inside a message, the bytes of that message are discarded. \
         They are never forwarded.",
    ),
    (
        "Half-close",
        "A client that ends its sending side still receives everything up to and including its \
         own last message. Then the server closes the connection.",
    ),
    (
        "Shutdown",
        "On SIGINT or SIGTERM the server stops accepting and reading, delivers within a deadline \
         what it already holds to the clients that keep up, closes each connection on a message \
         boundary and exits with code 0. A second signal ends it at once.",
    ),
];

#[cfg(test)]
mod tests {
    use super::Rule;

    #[test]
    fn the_rules_are_those_of_the_specification() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../chat-proto/SPEC.md");
        let text = std::fs::read_to_string(path).unwrap();
        let spec = words(&text.replace("*keeps up*", "keeps up"));
        for rule in Rule::all() {
            // A picture stands in the middle of one rule, so sentences are compared.
            let heading = format!("{}. **{}.**", rule.number(), rule.name());
            assert!(spec.contains(&heading), "{heading}");
            for sentence in rule.words().split_inclusive(". ") {
                let sentence = words(sentence);
                assert!(spec.contains(&sentence), "{heading} {sentence}");
            }
        }
    }

    fn words(text: &str) -> String {
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}
