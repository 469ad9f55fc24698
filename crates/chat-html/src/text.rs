//! Text from elsewhere, made fit to be shown.

/// Returns at most `char_count_max` characters of `text`, and tells of the rest. Characters that
/// show as nothing, or turn the direction of writing, are shown as replaced.
///
/// It does not escape: the templates do that for every value.
pub(crate) fn shown(text: &str, char_count_max: usize) -> String {
    let mut chars = text.chars();
    let mut shown: String = chars
        .by_ref()
        .take(char_count_max)
        .map(|char| if is_shown(char) { char } else { '\u{fffd}' })
        .collect();
    let rest = chars.count();
    if rest > 0 {
        shown += &format!("… and {rest} more characters");
    }
    shown
}

/// Returns a name for a server in little room: its executable, without the directory.
pub(crate) fn short_name(server: &str) -> String {
    let mut words = server.split_whitespace();
    let first = words.next().unwrap_or("a server");
    let is_interpreter = ["python", "node", "ruby", "java", "perl", "bash", "sh"]
        .iter()
        .any(|name| file_name(first).starts_with(name));
    let script = words.find(|word| is_interpreter && !word.starts_with('-'));
    clipped(file_name(script.unwrap_or(first)), NAME_LEN_MAX)
}

/// Returns at most `char_count_max` characters, the last of which tells that there are more.
pub(crate) fn clipped(text: &str, char_count_max: usize) -> String {
    if text.chars().count() <= char_count_max {
        return shown(text, char_count_max);
    }
    let start: String = text
        .chars()
        .take(char_count_max.saturating_sub(1))
        .collect();
    shown(&start, char_count_max) + "…"
}

fn file_name(path: &str) -> &str {
    path.rsplit('/')
        .find(|part| !part.is_empty())
        .unwrap_or(path)
}

fn is_shown(char: char) -> bool {
    let turns =
        matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    char == '\n' || !(char.is_control() || turns)
}

/// How long a name in little room is at most, in characters. A judgement.
const NAME_LEN_MAX: usize = 24;

/// How much is shown of a command line, in characters. A judgement.
pub(crate) const COMMAND_LEN_MAX: usize = 1_000;

/// How much is shown of a story, in characters. A judgement.
pub(crate) const STORY_LEN_MAX: usize = 2_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_called_by_its_executable_or_script() {
        for (server, name) in [
            ("./target/release/chat-server --log debug", "chat-server"),
            ("python3 -u bench/relay.py", "relay.py"),
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("", "a server"),
            ("/", "/"),
            (
                "a-name-that-is-much-longer-than-room",
                "a-name-that-is-much-lon…",
            ),
        ] {
            assert_eq!(short_name(server), name);
        }
    }

    #[test]
    fn what_cannot_be_seen_is_shown_as_replaced() {
        assert_eq!(shown("a\u{202e}b\0c\n", 9), "a\u{fffd}b\u{fffd}c\n");
        assert_eq!(shown("abcdef", 4), "abcd… and 2 more characters");
    }
}
