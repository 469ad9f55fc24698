//! Rows and columns of text.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthChar;

/// Returns how many columns a character takes.
pub(super) fn char_width(char: char) -> usize {
    char.width().unwrap_or(0)
}

/// Divides a text into rows of at most `width` columns, behind spaces where there are some. The
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
        columns += cluster.chars().map(char_width).sum::<usize>();
        if columns > width && pos > 0 {
            return pos;
        }
    }
    text.len()
}

/// Returns the beginning of a text that fits so many columns, with an ellipsis if it is not all.
pub(super) fn shorten(text: &str, width: usize) -> String {
    let columns = text.chars().map(char_width).sum::<usize>();
    if columns <= width {
        return text.to_owned();
    }
    let Some(width) = width.checked_sub(1) else {
        return String::new();
    };
    let mut columns = 0;
    let mut short = String::new();
    for char in text.chars() {
        columns += char_width(char);
        if columns > width {
            break;
        }
        short.push(char);
    }
    short.push('…');
    short
}

/// Returns how many rows further down the cursor is behind a prompt and a line, in the way in which
/// the line editor counts.
pub(super) fn rows_below(prompt: &str, line: &str, columns: usize) -> usize {
    end(prompt, line, columns).0
}

/// Tells whether a prompt and a line end with a full row: the cursor is believed to be on the next
/// one then, and terminals leave it behind the last column.
pub(super) fn fills_row(prompt: &str, line: &str, columns: usize) -> bool {
    let (row, column) = end(prompt, line, columns);
    row > 0 && column == 0 && !line.ends_with('\n')
}

/// Returns the row and the column behind a prompt and a line.
fn end(prompt: &str, line: &str, columns: usize) -> (usize, usize) {
    let (mut row, mut column) = (0, 0);
    for part in [prompt, line] {
        for cluster in part.graphemes(true) {
            if cluster == "\n" {
                (row, column) = (row + 1, 0);
                continue;
            }
            let width = match cluster {
                "\t" => TAB_STOP - column % TAB_STOP,
                _ => cluster.chars().map(char_width).sum(),
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
    }

    #[test]
    fn what_is_too_long_ends_with_an_ellipsis() {
        assert_eq!(shorten("hello", 5), "hello");
        assert_eq!(shorten("hello", 4), "hel…");
        assert_eq!(shorten("世界", 3), "世…");
        assert_eq!(shorten("世界", 2), "…");
        assert_eq!(shorten("hello", 0), "");
    }

    #[test]
    fn rows_are_counted_as_the_line_editor_does() {
        assert_eq!(rows_below("> ", "", 80), 0);
        assert_eq!(rows_below("> ", &"x".repeat(77), 80), 0);
        assert_eq!(rows_below("> ", &"x".repeat(78), 80), 1);
        assert_eq!(rows_below("> ", "a\nb\n", 80), 2);
        assert_eq!(rows_below("> ", "世世", 5), 1);
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
                prop_assert!(row.chars().map(char_width).sum::<usize>() <= width, "{rows:?}");
            }
            prop_assert_eq!(rows.concat().replace(' ', ""), text.replace(' ', ""));
        }
    }
}
