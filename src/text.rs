//! Text from outside, made fit for one line of a log.

use std::time::Duration;

/// The longest text of a server in one of our lines, in characters.
pub const MAX_FOREIGN: usize = 300;

/// Returns the first non-empty line of `text`, cut to `max` characters, every control character
/// replaced.
///
/// A server's text ends up on terminals and in log pipelines. It must neither start a line of its
/// own nor control the terminal.
pub fn one_line(text: &str, max: usize) -> String {
    if is_one_line(text, max) {
        return text.to_owned();
    }
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let mut out: String = line.chars().take(max).map(neutral).collect();
    if line.chars().nth(max).is_some() {
        out.push('…');
    }
    out
}

/// Returns [`one_line`] of a text. A text that needs no change is not copied.
pub fn cut_to_one_line(text: String, max: usize) -> String {
    if is_one_line(&text, max) { text } else { one_line(&text, max) }
}

/// Returns true for the usual text: nothing is to be cut, trimmed or replaced.
fn is_one_line(text: &str, max: usize) -> bool {
    let is_plain = |byte: &u8| (b' '..=b'~').contains(byte);
    let is_padded = text.starts_with(' ') || text.ends_with(' ');
    text.len() <= max && !is_padded && text.as_bytes().iter().all(is_plain)
}

/// The longest text that may be invalid UTF-8, in bytes.
const MAX_INVALID: usize = 16 * 1024;

/// Returns a server's bytes as text. Invalid bytes are replaced, which costs time and takes three
/// times the memory. So a long text with invalid bytes is cut.
pub fn lossy(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_INVALID)]).into_owned(),
    }
}

/// Returns the first line of an unexpected reply, if the reply is text.
pub fn quoted(reply: &[u8]) -> Option<String> {
    let line = one_line(&String::from_utf8_lossy(reply), 80);
    (!line.is_empty() && !line.contains('\u{fffd}')).then_some(line)
}

/// Returns `, it says: LINE` for an unexpected reply, or nothing if the reply is not text.
pub fn it_says(reply: &[u8]) -> String {
    quoted(reply).map(|line| format!(", it says: {line}")).unwrap_or_default()
}

/// A duration as messages show it: `0.2s`, `42.3s`, `9m 17s`, `1h 2m 3s`.
pub fn seconds(duration: Duration) -> String {
    let whole = duration.as_secs();
    // A value that rounds up to 60.0 seconds is a minute.
    if duration < Duration::from_millis(59_950) {
        return format!("{:.1}s", duration.as_secs_f64());
    }
    let whole = whole.max(60);
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    let hours = if hours > 0 { format!("{hours}h ") } else { String::new() };
    format!("{hours}{minutes}m {seconds}s")
}

/// A duration that may be short, as messages show it: `20ms`, else as [`seconds`].
pub fn short_time(duration: Duration) -> String {
    if duration < Duration::from_millis(100) {
        format!("{}ms", duration.as_millis())
    } else {
        seconds(duration)
    }
}

/// Returns the bytes without U+FEFF at their start, which editors on Windows write.
pub fn strip_byte_order_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// Returns a path for a message. Hides a value that may be a secret, or the content of a file, in
/// place of its path.
pub fn path_shown(path: &str) -> &str {
    let is_plain = path.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
    let starts_so = ["/", "./", "../", "~"].iter().any(|start| path.starts_with(start));
    let is_path = starts_so && !path.contains(char::is_control)
        || is_plain && path.contains('.') && path.len() <= 64;
    if is_path { path } else { "(value hidden: it does not look like a path)" }
}

/// Text with nothing in it that could end a line or speak to the terminal.
pub fn harmless(text: &str) -> String {
    text.chars().map(neutral).collect()
}

/// Replaces a character that could end a line, move a cursor or reverse the reading direction.
fn neutral(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        '\u{2028}'
        | '\u{2029}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c => c,
    }
}

/// Returns the candidate nearest to `word`, if one is near enough for a typing error.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Optimal string alignment distance: insertions, deletions, substitutions and swaps of neighbours
/// count one each.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let substituted = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = substituted.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_over_a_minute_have_minutes() {
        for (millis, want) in [
            (0, "0.0s"),
            (249, "0.2s"),
            (59_940, "59.9s"),
            (59_950, "1m 0s"),
            (59_960, "1m 0s"),
            (60_000, "1m 0s"),
            (557_900, "9m 17s"),
            (3_723_000, "1h 2m 3s"),
        ] {
            assert_eq!(seconds(Duration::from_millis(millis)), want);
        }
    }

    #[test]
    fn foreign_text_becomes_one_harmless_line() {
        assert_eq!(one_line("\n  first\tline\r\nsecond", 300), "first line");
        assert_eq!(one_line("\u{1b}[31mred\u{7}\u{202e}", 300), "\u{fffd}[31mred\u{fffd}\u{fffd}");
        assert_eq!(one_line("abcdef", 3), "abc…");
        assert_eq!(one_line("", 3), "");
        assert_eq!(one_line(" ~a b ", 3), "~a …");
        assert_eq!(one_line(" a ", 3), "a");
        assert_eq!(one_line(" a", 3), "a");
        assert_eq!(one_line("a ", 3), "a");
    }

    #[test]
    fn an_unexpected_reply_is_quoted_only_if_it_is_text() {
        assert_eq!(quoted(b"SSH-2.0-x\r\nmore"), Some("SSH-2.0-x".to_owned()));
        assert_eq!(quoted(b"\r\n"), None);
        assert_eq!(quoted(b"\x16\x03"), None);
        assert_eq!(quoted(b"a\xffb"), None);
    }

    #[test]
    fn a_long_text_is_cut_only_if_it_is_invalid() {
        let long = "x".repeat(1 << 20);
        assert_eq!(lossy(long.as_bytes()), long);
        assert_eq!(lossy(b"a\xffb"), "a\u{fffd}b");
        assert_eq!(lossy(&[0xff; 1 << 20]), "\u{fffd}".repeat(MAX_INVALID));
    }

    #[test]
    fn control_characters_become_harmless() {
        assert_eq!(harmless("a\tb\n\u{1b}[1m\u{2028}é"), "a b\u{fffd}\u{fffd}[1m\u{fffd}é");
    }

    #[test]
    fn a_value_is_shown_only_if_it_looks_like_a_path() {
        for path in ["/run/secrets/x", "./x", "../a b", "ca.pem", "certs/ca.pem"] {
            assert_eq!(path_shown(path), path);
        }
        let jwt = format!("eyJ{}.x.y", "a".repeat(80));
        for secret in [
            "s3cr3t",
            "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY",
            "-----BEGIN X-----\nabc",
            &jwt,
        ] {
            assert!(!path_shown(secret).contains(secret), "{secret}");
        }
    }

    #[test]
    fn only_a_near_word_is_offered() {
        assert_eq!(nearest("tiemout", ["timeout", "interval"]), Some("timeout"));
        assert_eq!(nearest("postgre", ["tcp", "postgres"]), Some("postgres"));
        assert_eq!(nearest("zebra", ["tcp", "postgres"]), None);
        // A long word may have more slips than a short one.
        assert_eq!(nearest("max-interwahl", ["max-interval"]), Some("max-interval"));
        // A missing or additional letter counts, and so does a swap.
        assert_eq!(nearest("tcpabcdefgh", ["tcp"]), None);
        assert_eq!(nearest("t", ["timeout"]), None);
        assert_eq!(nearest("tpc", ["tcp"]), Some("tcp"));
        assert_eq!(nearest("ctp", ["tcp"]), Some("tcp"));
        assert_eq!(nearest("ptc", ["tcp"]), None);
    }
}
