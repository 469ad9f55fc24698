//! Patterns that choose cases.

/// Tells whether `pattern` matches all of `text`. A `*` stands for any characters, also for none, a
/// `?` for one. Everything else stands for itself.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let mut ends = vec![false; text.len() + 1];
    ends[0] = true;
    // `ends[n]` says whether the pattern so far matches the first n bytes.
    for wanted in pattern.bytes() {
        let mut next = vec![false; ends.len()];
        next[0] = wanted == b'*' && ends[0];
        for (pos, byte) in text.bytes().enumerate() {
            next[pos + 1] = match wanted {
                b'*' => ends[pos + 1] || next[pos],
                b'?' => ends[pos],
                _ => ends[pos] && wanted == byte,
            };
        }
        ends = next;
    }
    ends[text.len()]
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[track_caller]
    fn check(pattern: &str, text: &str, expected: bool) {
        assert_eq!(matches(pattern, text), expected, "{pattern} on {text}");
    }

    #[test]
    fn plain_characters_stand_for_themselves() {
        check("rule-3/glued", "rule-3/glued", true);
        check("rule-3/glued", "rule-3/glued-with", false);
        check("rule-3/glued", "rule-3/glue", false);
        check("", "", true);
        check("", "a", false);
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        check("rule-1/*", "rule-1/ipv6", true);
        check("rule-1/*", "rule-10/sigterm", false);
        check("*", "", true);
        check("*/*-length", "rule-3/every-length", true);
        check("r*3/*a*", "rule-3/empty-message", true);
        check("a*b*c", "abcb", false);
        check("a**c", "abbc", true);
        check("*a", "ab", false);
    }

    #[test]
    fn a_question_mark_stands_for_one_character() {
        check("rule-?/*", "rule-3/glued", true);
        check("rule-?/*", "rule-10/sigterm", false);
        check("?", "", false);
    }
}
