//! The keys after the `#`.

use super::{Grammar, KeyValue, expand::Text};

/// Reads `KEY[=VALUE][,KEY[=VALUE]]...`.
///
/// # Errors
/// Malformed keys. The error shows no text, which may be part of a password with an unencoded `#`
/// or `,`.
pub(super) fn read(keys: &Text, grammar: Grammar) -> Result<Vec<KeyValue>, String> {
    let mut read: Vec<KeyValue> = Vec::new();
    for key in keys.split(',') {
        let (name, value) = match key.split_once('=') {
            Some((name, value)) => (name, value),
            None => (key.clone(), key.part("true")),
        };
        let name = name.raw();
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_lowercase() || c == '-') {
            return Err(shape(&key, read.last(), grammar));
        }
        let decoded =
            |text: Text| text.percent_decoded().map_err(|message| format!("{name}: {message}"));
        let items = value.split('+').map(decoded).collect::<Result<_, _>>()?;
        read.push(KeyValue { name: name.to_owned(), value: decoded(value)?, items, at: None });
    }
    Ok(read)
}

fn shape(key: &Text, before: Option<&KeyValue>, grammar: Grammar) -> String {
    let is_short =
        |text: &str| text.len() <= 4 && text.chars().all(|c| c.is_ascii_digit() || c == 'x');
    // `status=200,204`
    if let Some(before) = before.filter(|before| is_short(&before.value) && is_short(key.raw())) {
        let (name, value, more) = (&before.name, &before.value, key.raw());
        return format!(
            "{more} is no key; the parts of a list are joined by +, e.g. {name}={value}+{more}"
        );
    }
    let remedy = if grammar.has_servers() {
        "a literal comma in a value is %2C, a # in the URL is %23"
    } else {
        "a literal comma in a value is %2C; a # in a path or command must come from a variable, \
        e.g. ${NAME}"
    };
    format!("behind the # must stand KEY=VALUE pairs, joined by commas ({remedy})")
}
