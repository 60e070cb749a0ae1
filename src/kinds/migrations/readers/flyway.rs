//! Flyway: versioned, repeatable and baseline migrations, by the default prefixes and separator.

use crate::kinds::migrations::{
    dir::{File, Listing},
    files::sorted,
    key::{self, Order},
    wanted::{Wanted, WantedMigration},
};

/// Flyway's kinds of files.
enum Script {
    Versioned(String),
    Baseline(String),
    Repeatable,
}

/// `V1_2__name.sql`, `V2.sql`, `R__name.sql`, `B5__name.sql`. An undo migration is never wanted.
fn script(file: &File) -> Option<Script> {
    let name = file.name().strip_suffix(".sql")?;
    // The separator and the description may be left out (Flyway's ResourceNameParser).
    let head = name.split_once("__").map_or(name, |(head, _)| head);
    let version = || {
        let version = key::dotted(head.get(1..)?);
        version.starts_with(|c: char| c.is_ascii_digit()).then_some(version)
    };
    match head.get(..1)? {
        "V" => version().map(Script::Versioned),
        "B" => version().map(Script::Baseline),
        "R" if head == "R" => Some(Script::Repeatable),
        _ => None,
    }
}

/// Returns true if some file has one of the default prefixes.
pub(crate) fn recognises(listing: &Listing) -> bool {
    listing.files.iter().any(|file| script(file).is_some())
}

/// Reads a location.
pub(crate) fn read(listing: &Listing) -> Result<Wanted, String> {
    let (mut versions, mut repeatable, mut baselines) = (Vec::new(), Vec::new(), Vec::new());
    for file in &listing.files {
        // Dots belong to a version, so that only the extension is cut.
        let label = file.name().strip_suffix(".sql").unwrap_or_default();
        match script(file) {
            Some(Script::Versioned(version)) => versions.push(WantedMigration::new(label, version)),
            // Flyway runs one on an empty database alone. Elsewhere a later row shows that its
            // content is there.
            Some(Script::Baseline(version)) => {
                baselines.push(WantedMigration {
                    or_later: true,
                    ..WantedMigration::new(label, version)
                });
            }
            Some(Script::Repeatable) => {
                // The row has the path below the location, which may lie above or below dir.
                let mut keys = vec![format!("R:{}", file.path)];
                if !file.is_flat() {
                    keys.push(format!("R:{}", file.name()));
                }
                repeatable.push(WantedMigration { keys, ..WantedMigration::new(label, "") });
            }
            None => {}
        }
    }
    baselines.retain(|baseline| !versions.iter().any(|version| version.keys == baseline.keys));
    versions.extend(baselines);
    let mut list = sorted(versions, Order::Dotted);
    list.extend(repeatable);
    Ok(Wanted::list(list))
}
