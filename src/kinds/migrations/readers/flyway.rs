//! Flyway: versioned, repeatable and baseline migrations, by the default prefixes and separator.

use crate::kinds::migrations::{
    dir::Listing,
    files::{sorted, stem},
    key::{self, Order},
    wanted::{Want, Wanted},
};

/// Reads a location: `V1_2__name.sql`, `R__name.sql`, `B5__name.sql`; undo migrations are not wanted.
pub fn read(listing: &Listing) -> Result<Wanted, String> {
    let (mut versions, mut repeatable, mut baselines) = (Vec::new(), Vec::new(), Vec::new());
    for path in &listing.files {
        let Some(script) = path.strip_suffix(".sql") else { continue };
        let name = script.rsplit('/').next().unwrap_or(script);
        let Some((head, _)) = name.split_once("__") else { continue };
        let version = head
            .get(1..)
            .map(key::dotted)
            .filter(|version| version.starts_with(|c: char| c.is_ascii_digit()));
        match (head.get(..1), version) {
            (Some("V"), Some(version)) => versions.push(Want::new(stem(name), version)),
            // Run only where nothing is yet: where something is, what comes later shows that its content is there.
            (Some("B"), Some(version)) => {
                baselines.push(Want { or_later: true, ..Want::new(stem(name), version) })
            }
            (Some("R"), None) if head == "R" => {
                repeatable.push(Want::new(stem(name), format!("R:{path}")))
            }
            _ => {}
        }
    }
    baselines.retain(|baseline| !versions.iter().any(|version| version.keys == baseline.keys));
    versions.extend(baselines);
    let mut list = sorted(versions, Order::Dotted);
    list.extend(repeatable);
    Ok(Wanted { list, graph: None })
}
