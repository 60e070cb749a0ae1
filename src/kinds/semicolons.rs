//! Pairs joined by semicolons, as all drivers of ADO.NET have them: `Server=db;User ID=app`.

/// A name as drivers compare it: in lower case, without blanks, underscores and hyphens.
pub(super) fn bare(key: &str) -> String {
    key.chars().filter(|c| !matches!(c, ' ' | '_' | '-')).flat_map(char::to_lowercase).collect()
}

/// The pairs. A value may have quotes of either kind, in which the quote itself is doubled. Returns
/// `None` for another form.
pub(super) fn parts(text: &str) -> Option<Vec<(String, String)>> {
    let mut parts = Vec::new();
    let mut rest = text.trim_start_matches(|c: char| c == ';' || c.is_whitespace());
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=')?;
        let key = key.trim();
        if key.is_empty() || key.contains([';', '\'', '"']) {
            return None;
        }
        let after = after.trim_start();
        let (value, after) = match after.chars().next().filter(|c| matches!(c, '\'' | '"')) {
            Some(quote) => quoted(after, quote)?,
            None => {
                let (value, after) = after.split_once(';').unwrap_or((after, ""));
                (value.trim().to_owned(), after)
            }
        };
        parts.push((key.to_owned(), value));
        rest = after.trim_start_matches(|c: char| c == ';' || c.is_whitespace());
    }
    Some(parts)
}

/// Returns the value in quotes, and the text after it.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c != quote {
            value.push(c);
        } else if chars.next_if(|(_, next)| *next == quote).is_some() {
            value.push(quote);
        } else {
            let after = text[at + 1..].trim_start();
            return (after.is_empty() || after.starts_with(';')).then_some((value, after));
        }
    }
    None
}
