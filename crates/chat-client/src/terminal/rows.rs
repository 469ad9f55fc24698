//! Rows and columns of text.

use std::iter;
use std::sync::LazyLock;

use rustyline::GraphemeClusterMode;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::escape::with_visibility;

/// Returns how many columns a text takes at most.
pub(super) fn width(text: &str) -> usize {
    text.graphemes(true).map(cluster_width).sum()
}

/// Returns how many columns characters take at most that belong together. Some terminals draw an
/// emoji of several characters as one, others draw each.
fn cluster_width(cluster: &str) -> usize {
    let each = cluster.chars().filter_map(UnicodeWidthChar::width).sum();
    cluster.width().max(each)
}

/// Divides a text into rows of at most `width` columns, after spaces where there are some. The
/// spaces at the end of a row are left out.
pub(super) fn wrap(text: &str, width: usize) -> Vec<&str> {
    let mut rows = Vec::new();
    let mut rest = text;
    loop {
        let full = row_len(rest, width);
        if full == rest.len() {
            rows.push(rest);
            return rows;
        }
        let row = match rest[..full].rfind(' ') {
            _ if rest[full..].starts_with(' ') => full,
            // Not if it leaves most of the row empty.
            Some(space) if space >= full / 3 => space,
            _ => full,
        };
        rows.push(rest[..row].trim_end_matches(' '));
        let after = &rest[row..];
        rest = after.trim_start_matches(' ');
        if rest.is_empty() {
            return rows;
        }
    }
}

/// Returns how many bytes of a text fit a row; what belongs to one character stays together.
fn row_len(text: &str, width: usize) -> usize {
    let mut columns = 0;
    for (pos, cluster) in text.grapheme_indices(true) {
        columns += cluster_width(cluster);
        if columns > width && pos > 0 {
            return pos;
        }
    }
    text.len()
}

/// Returns the beginning of a text that fits so many columns, with an ellipsis if it is not all.
pub(super) fn shorten(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let Some(mut left) = columns.checked_sub(1) else {
        return String::new();
    };
    let mut short = String::new();
    for cluster in text.graphemes(true) {
        let Some(after) = left.checked_sub(cluster_width(cluster)) else {
            break;
        };
        short.push_str(cluster);
        left = after;
    }
    short.push('…');
    short
}

/// Returns how many rows further down the cursor is after a prompt and a line, in the way in which
/// the line editor counts.
pub(super) fn rows_below(prompt: &str, line: &str, columns: usize) -> usize {
    end(prompt, line, columns).0
}

/// Tells whether a prompt and a line end with a full row: the cursor is believed to be on the next
/// one then, and terminals leave it after the last column.
pub(super) fn fills_row(prompt: &str, line: &str, columns: usize) -> bool {
    let (row, column) = end(prompt, line, columns);
    row > 0 && column == 0 && !line.ends_with('\n')
}

/// Returns the row and the column after a prompt and a line.
fn end(prompt: &str, line: &str, columns: usize) -> (usize, usize) {
    let (mut row, mut column) = (0, 0);
    for part in [prompt, line] {
        for (cluster, width) in counted(part) {
            if cluster == "\n" {
                (row, column) = (row + 1, 0);
                continue;
            }
            let width = match cluster {
                "\t" => TAB_STOP - column % TAB_STOP,
                _ => width,
            };
            column += width;
            if column > columns {
                (row, column) = (row + 1, width);
            }
        }
        if column == columns {
            (row, column) = (row + 1, 0);
        }
    }
    (row, column)
}

/// Divides a text into characters that belong together, each with the columns that the line editor
/// counts for it: none for what it takes for a sequence that colours the text.
pub(super) fn counted(text: &str) -> impl Iterator<Item = (&str, usize)> {
    let mut sequence = Sequence::None;
    text.graphemes(true).map(move |cluster| {
        let is_parameter =
            cluster == ";" || cluster.starts_with(|char: char| char.is_ascii_digit());
        let (width, next) = match sequence {
            Sequence::Begun if cluster == "[" => (0, Sequence::Parameters),
            Sequence::Parameters if is_parameter => (0, Sequence::Parameters),
            Sequence::Begun | Sequence::Parameters => (0, Sequence::None),
            Sequence::None if cluster == "\x1b" => (0, Sequence::Begun),
            Sequence::None => (cluster_mode().width(cluster).into(), Sequence::None),
        };
        sequence = next;
        (cluster, width)
    })
}

/// Returns a line that is typed as it is drawn, and how many of its characters cannot be seen. It
/// takes the columns that the line editor counts, and nothing that was pasted controls the terminal,
/// hides, or changes the direction of text.
pub(super) fn drawn(line: &str) -> (String, usize) {
    let mut visibility = with_visibility(line);
    let (mut text, mut hidden_count) = (String::new(), 0);
    for (cluster, width) in counted(line) {
        let chars = visibility.by_ref().take(cluster.chars().count());
        if matches!(cluster, "\n" | "\t") {
            chars.for_each(drop);
            text.push_str(cluster);
            continue;
        }
        let (shown, hidden): (Vec<_>, Vec<_>) =
            chars.partition(|&(_, is_shown)| is_shown && width > 0);
        let shown: String = shown.into_iter().map(|(char, _)| char).collect();
        let shown_width = usize::from(cluster_mode().width(&shown));
        text.push_str(&shown);
        text.extend(iter::repeat_n(
            PLACEHOLDER,
            width.saturating_sub(shown_width),
        ));
        hidden_count += hidden.len();
    }
    (text, hidden_count)
}

/// Where in an escape sequence the line editor believes to be.
#[derive(Clone, Copy, Debug)]
enum Sequence {
    None,
    Begun,
    Parameters,
}

/// Returns how the line editor counts the columns of characters that belong together.
fn cluster_mode() -> GraphemeClusterMode {
    static MODE: LazyLock<GraphemeClusterMode> = LazyLock::new(GraphemeClusterMode::from_env);
    *MODE
}

/// Stands in the columns of a character that cannot be seen.
const PLACEHOLDER: char = '·';

/// How far apart tab stops are.
pub(super) const TAB_STOP: usize = 8;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_is_divided_between_words_or_characters() {
        assert_eq!(wrap("", 8), [""]);
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("one two  ", 8), ["one two"]);
        assert_eq!(wrap("0123456789", 4), ["0123", "4567", "89"]);
        assert_eq!(wrap("世界世界", 5), ["世界", "世界"]);
        assert_eq!(wrap("e\u{301}e\u{301}", 1), ["e\u{301}", "e\u{301}"]);
        assert_eq!(wrap("世", 1), ["世"]);
        // Two columns each, or six on terminals that do not join them.
        let family = "👩\u{200d}👩\u{200d}👧";
        assert_eq!(wrap(&family.repeat(2), 11), [family, family]);
        // One character is one column wide; the second makes it two.
        assert_eq!(wrap("❤\u{fe0f}❤\u{fe0f}", 3), ["❤\u{fe0f}", "❤\u{fe0f}"]);
    }

    #[test]
    fn what_is_too_long_ends_with_an_ellipsis() {
        assert_eq!(shorten("hello", 5), "hello");
        assert_eq!(shorten("hello", 4), "hel…");
        assert_eq!(shorten("世界", 3), "世…");
        assert_eq!(shorten("世界", 2), "…");
        assert_eq!(shorten("hello", 0), "");
        assert_eq!(shorten("❤\u{fe0f}❤\u{fe0f}", 3), "❤\u{fe0f}…");
    }

    #[test]
    fn a_typed_line_hides_nothing() {
        #[track_caller]
        fn check(line: &str, expected: &str, expected_count: usize) {
            assert_eq!(drawn(line), (expected.to_owned(), expected_count));
        }
        for line in [
            "",
            "one\n\ttwo",
            "世 e\u{301}",
            "👩\u{200d}🚀 ❤\u{fe0f} 1\u{fe0f}\u{20e3}",
        ] {
            check(line, line, 0);
        }
        check("pay\u{200b}pal\u{202e}", "paypal", 2);
        check("\x07\x1b[31mred\x1b[0m", "red", 10);
        check("a\u{200d}b", "ab", 1);
        // They take columns, though they are empty.
        check(
            "a\u{3164}b",
            &format!("a{}b", "·".repeat(width("\u{3164}"))),
            1,
        );
    }

    #[test]
    fn rows_are_counted_as_the_line_editor_does() {
        assert_eq!(rows_below("> ", "", 80), 0);
        assert_eq!(rows_below("> ", &"x".repeat(77), 80), 0);
        assert_eq!(rows_below("> ", &"x".repeat(78), 80), 1);
        assert_eq!(rows_below("> ", "a\nb\n", 80), 2);
        assert_eq!(rows_below("> ", "世世", 5), 1);
        // A sequence that colours text takes no column.
        assert_eq!(rows_below("> ", "\x1b[31mabc", 5), 1);
        assert_eq!(rows_below("> ", "\x1b[31mab", 5), 0);
        assert_eq!(rows_below("> ", "\x1bxab", 5), 0);
        for (line, is_full) in [
            ("xxx", true),
            ("xx", false),
            ("xxxx", false),
            ("xxx\n", false),
        ] {
            assert_eq!(fills_row("> ", line, 5), is_full, "{line}");
        }
    }

    proptest! {
        #[test]
        fn rows_fit_and_nothing_but_spaces_is_left_out(text in "([a-z世ü]{0,30} {0,3}){0,6}", width in 2..40_usize) {
            let rows = wrap(&text, width);
            for row in &rows {
                prop_assert!(super::width(row) <= width, "{rows:?}");
            }
            prop_assert_eq!(rows.concat().replace(' ', ""), text.replace(' ', ""));
        }

        #[test]
        fn a_typed_line_takes_the_columns_that_are_counted(line in any::<String>(), columns in 2..40_usize) {
            let (text, _) = drawn(&line);
            prop_assert!(!text.contains(|char: char| char.is_control() && char != '\n' && char != '\t'));
            prop_assert_eq!(end("> ", &text, columns), end("> ", &line, columns), "{:?}", text);
        }
    }
}
