//! The query of a URL as pairs of names and values, for kinds whose drivers put options there.

use crate::spec::{ConfigError, Spec, expand::Text};

/// The pairs behind the `?`, each percent-decoded. A name without a value has an empty one.
///
/// # Errors
/// Percent-encoding that is not valid. The error shows neither name nor value.
pub(super) fn pairs(
    spec: &Spec,
    query: Option<&Text>,
) -> Result<Vec<(String, String)>, ConfigError> {
    let decoded = |text: Text| {
        text.percent_decoded().map_err(|what| spec.error(format_args!("the query {what}")))
    };
    let Some(query) = query else { return Ok(Vec::new()) };
    let parts = query.split('&').filter(|pair| !pair.is_empty());
    parts
        .map(|pair| match pair.split_once('=') {
            Some((name, value)) => Ok((decoded(name)?, decoded(value)?)),
            None => Ok((decoded(pair)?, String::new())),
        })
        .collect()
}

/// Whether a driver's word means true; none where it is no such word.
pub(super) fn truth(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}
