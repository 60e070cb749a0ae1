//! Text on a terminal: widths, wrapping, colours.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The colour of a piece of text, by its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    /// Clocks, and dependencies that only wait for others.
    Dim,
    Good,
    /// Not ready, but the wait goes on.
    Warning,
    Bad,
}

impl Style {
    /// Returns the text with the escapes of this colour, or unchanged without `color`.
    pub(super) fn paint(self, text: &str, color: bool) -> String {
        let code = match self {
            Style::Plain => return text.to_owned(),
            Style::Dim => "2",
            Style::Good => "32",
            Style::Warning => "33",
            Style::Bad => "31",
        };
        if color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Returns true if the environment allows colours. Source: no-color.org.
pub(super) fn is_color_allowed() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Returns the number of columns that a text takes.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// Returns as much of the start of `text` as fits into `columns`.
pub(super) fn cut(text: &str, columns: usize) -> &str {
    let mut used = 0;
    let end = text.char_indices().find(|(_, c)| {
        used += c.width().unwrap_or(0);
        used > columns
    });
    end.map_or(text, |(end, _)| &text[..end])
}

/// Returns the text in at most `columns`. A longer text keeps its two ends around an ellipsis.
pub(super) fn shortened(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let Some(left) = columns.checked_sub(1) else { return String::new() };
    let start = cut(text, left.div_ceil(2));
    let reversed: String = text.chars().rev().collect();
    let end: String = cut(&reversed, left - width(start)).chars().rev().collect();
    format!("{start}…{end}")
}

/// Returns the text, padded with blanks to `columns`.
pub(super) fn padded(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

/// Returns the text in lines of at most `columns`, broken between words. A word longer than a line
/// is broken too.
pub(super) fn wrapped(text: &str, columns: usize) -> Vec<String> {
    // A wide character takes two columns.
    let columns = columns.max(2);
    let mut lines = vec![String::new()];
    for mut word in text.split_whitespace() {
        while let Some(line) = lines.last_mut() {
            let gap = usize::from(!line.is_empty());
            if width(line) + gap + width(word) <= columns {
                line.push_str(&" ".repeat(gap));
                line.push_str(word);
                break;
            }
            if line.is_empty() {
                let start = cut(word, columns);
                line.push_str(start);
                word = &word[start.len()..];
            }
            lines.push(String::new());
        }
    }
    lines.retain(|line| !line.is_empty());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_by_the_columns_that_it_takes() {
        for (text, columns, want) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "abc"),
            ("漢字", 3, "漢"),
            ("a漢字", 3, "a漢"),
            ("x", 0, ""),
        ] {
            assert_eq!(cut(text, columns), want);
        }
    }

    #[test]
    fn a_long_name_keeps_its_two_ends() {
        for (text, columns, want) in [
            ("postgres://10.0.0.5:5432/app", 28, "postgres://10.0.0.5:5432/app"),
            ("postgres://10.0.0.5:5432/app", 24, "postgres://1….5:5432/app"),
            ("漢字漢字漢字", 8, "漢字…字"),
            ("abc", 1, "…"),
            ("abc", 0, ""),
        ] {
            assert_eq!(shortened(text, columns), want);
            assert!(width(&shortened(text, columns)) <= columns);
        }
    }

    #[test]
    fn lines_break_between_words_and_within_long_ones() {
        for (text, columns, want) in [
            ("", 10, &[][..]),
            ("connection refused", 18, &["connection refused"]),
            ("connection refused", 17, &["connection", "refused"]),
            ("a bbbbbbbbbb c", 4, &["a", "bbbb", "bbbb", "bb c"]),
            ("漢字漢字", 5, &["漢字", "漢字"]),
            ("漢", 1, &["漢"]),
        ] {
            assert_eq!(wrapped(text, columns), want, "{text:?} {columns}");
        }
    }
}
