//! Shell syntax in the words of `exec:`, which no shell reads.

/// The first word that only a shell understands, e.g. `||`, `>/dev/null` or `$HOME/x`. Quoted words
/// are data.
pub(super) fn find_operator(text: &str) -> Option<&str> {
    bare_words(text).find(|word| is_operator(word) || has_variable(word))
}

/// Returns true if a bare word holds `$NAME`.
fn has_variable(word: &str) -> bool {
    word.split('$')
        .skip(1)
        .any(|behind| behind.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'))
}

/// Returns true if a bare word ends a command, joins two commands, redirects, or starts a
/// substitution.
fn is_operator(word: &str) -> bool {
    let behind_fd = word.trim_start_matches(|c: char| c.is_ascii_digit());
    behind_fd.starts_with(['<', '>'])
        || word.starts_with(['|', '&', ';', '(', ')', '`'])
        || word.starts_with("$(")
        || word.ends_with(';')
        || matches!(word, "{" | "}" | "!")
}

/// The words that hold neither a quote nor a backslash.
fn bare_words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        if rest.is_empty() {
            return None;
        }
        let end = end_of_word(rest);
        let (word, behind) = rest.split_at(end);
        rest = behind;
        Some(word)
    })
    .filter(|word| !word.contains(['\'', '"', '\\']))
}

/// The length of the word at the start of `text`, in bytes, as a shell splits it.
fn end_of_word(text: &str) -> usize {
    let (mut quote, mut escaped) = (None, false);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (None | Some('"'), '\\') => escaped = true,
            (Some(open), c) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, c) if c.is_whitespace() => return at,
            (None, _) => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bare_words_are_shell_operators() {
        for (text, want) in [
            ("curl -sf http://h/up || exit 1", Some("||")),
            ("cat f | grep -q x", Some("|")),
            ("a && b", Some("&&")),
            ("a ; b", Some(";")),
            ("a; b", Some("a;")),
            ("sleep 1 &", Some("&")),
            ("a > f", Some(">")),
            ("a >/dev/null", Some(">/dev/null")),
            ("a 2>&1", Some("2>&1")),
            ("a &>f", Some("&>f")),
            ("a < f", Some("<")),
            ("(a)", Some("(a)")),
            ("a $(b)", Some("$(b)")),
            ("test -e $HOME/x", Some("$HOME/x")),
            ("a x=$_y", Some("x=$_y")),
            ("grep -q a$ f$1 '$HOME' \\$HOME", None),
            ("! a", Some("!")),
            ("sh -c 'a || b'", None),
            ("sh -c \"a | b\"", None),
            ("grep -q 'x|yes' f", None),
            ("grep -q x|yes f", None),
            ("find . -exec true {} \\;", None),
            ("a '|' \"||\" \\|", None),
            ("a 'it'\\''s' 'b", None),
            ("psql -c 'select 1;'", None),
            ("a $HOME -> x=1", Some("$HOME")),
            ("a '$HOME' -> x=1", None),
            ("", None),
        ] {
            assert_eq!(find_operator(text), want, "{text}");
        }
    }
}
