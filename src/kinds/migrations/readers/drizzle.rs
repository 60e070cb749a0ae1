//! Drizzle: a journal gives each migration its time (0.x), or the name of its directory begins with
//! it (1.0).

use std::collections::HashMap;

use ring::digest::{SHA256, digest};
use serde_json::Value;

use crate::{
    civil::days_from_civil,
    kinds::migrations::{
        dir::{File, Listing},
        key::is_number,
        wanted::{Wanted, WantedMigration},
    },
};

const JOURNAL: &str = "meta/_journal.json";

/// Returns true if a journal, or a directory with a migration, lies here.
pub(crate) fn recognises(listing: &Listing) -> bool {
    listing.files.iter().any(|file| file.path == JOURNAL || folder(&file.path).is_some())
}

/// A migration, its time, and the file whose hash the table holds.
struct Migration {
    name: String,
    time: Option<String>,
    sql: File,
}

/// Reads the migrations folder.
///
/// A row holds the time and the hash, since 1.0 the name too. If two migrations have one time,
/// Drizzle runs only the first. Only the hash shows which one a row is.
pub(crate) fn read(listing: &Listing) -> Result<Wanted, String> {
    let mut migrations = Vec::new();
    for journal in listing.files.iter().filter(|file| file.path == JOURNAL) {
        let entries = entries(&listing.text(journal)?)
            .ok_or_else(|| format!("{JOURNAL}: must be Drizzle's journal"))?;
        migrations.extend(entries.into_iter().map(|(name, time)| Migration {
            sql: journal.beside(format!("{name}.sql")),
            time: Some(time),
            name,
        }));
    }
    if migrations.is_empty() {
        let found = listing.files.iter().filter_map(|file| {
            let (name, time) = folder(&file.path)?;
            Some(Migration { name: name.to_owned(), time, sql: file.clone() })
        });
        migrations.extend(found);
    }
    let mut times: HashMap<&str, usize> = HashMap::new();
    for time in migrations.iter().filter_map(|migration| migration.time.as_deref()) {
        *times.entry(time).or_default() += 1;
    }
    let want = |migration: &Migration| {
        let mut keys = Vec::new();
        match &migration.time {
            Some(time) if times.get(time.as_str()) == Some(&1) => keys.push(time.clone()),
            _ => keys.push(hash(&listing.bytes(&migration.sql)?)),
        }
        keys.push(migration.name.clone());
        Ok(WantedMigration { keys, ..WantedMigration::new(&migration.name, "") })
    };
    Ok(Wanted::list(migrations.iter().map(want).collect::<Result<_, String>>()?))
}

/// `entries[].{tag,when}`.
fn entries(text: &str) -> Option<Vec<(String, String)>> {
    let journal: Value = serde_json::from_str(text).ok()?;
    let entry = |entry: &Value| {
        let (tag, when) = (entry.get("tag")?.as_str()?, entry.get("when")?);
        let whole = when.as_f64().filter(|when| when.fract() == 0.0).map(|when| when as i64);
        let when =
            when.as_i64().or(whole).map_or_else(|| when.to_string(), |when| when.to_string());
        Some((tag.to_owned(), when))
    };
    journal.get("entries")?.as_array()?.iter().map(entry).collect()
}

/// `20240101120000_name/migration.sql`: its name, and its time in milliseconds.
fn folder(path: &str) -> Option<(&str, Option<String>)> {
    let name = path.strip_suffix("/migration.sql")?;
    let digits = name.get(..14).filter(|digits| is_number(digits))?;
    name.get(14..)?.strip_prefix('_').filter(|rest| !rest.contains('/'))?;
    Some((name, milliseconds(digits).map(|time| time.to_string())))
}

/// `YYYYMMDDhhmmss`, UTC, since 1970.
fn milliseconds(digits: &str) -> Option<i64> {
    let part = |from: usize, to: usize| digits.get(from..to)?.parse::<i64>().ok();
    let days = days_from_civil(part(0, 4)?, part(4, 6)?, part(6, 8)?);
    Some(((days * 24 + part(8, 10)?) * 60 + part(10, 12)?) * 60_000 + part(12, 14)? * 1000)
}

/// The SHA-256 in hexadecimal digits.
fn hash(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_a_name_and_a_time() {
        assert_eq!(
            folder("20240101120000_first/migration.sql"),
            Some(("20240101120000_first", Some("1704110400000".to_owned())))
        );
        assert_eq!(milliseconds("19700101000001"), Some(1000));
        assert_eq!(milliseconds("20000229235959"), Some(951_868_799_000));
        assert_eq!(folder("2024_first/migration.sql"), None);
        assert_eq!(folder("20240101120000_first/sub/migration.sql"), None);
    }

    #[test]
    fn a_journal_is_read_and_other_json_is_not() {
        assert_eq!(entries("{}"), None);
        assert_eq!(entries("[1"), None);
        assert_eq!(
            entries(r#"{"entries":[{"idx":0,"when":5,"tag":"0000_a"}]}"#).unwrap(),
            [("0000_a".to_owned(), "5".to_owned())]
        );
    }

    #[test]
    fn the_hash_is_that_of_the_file() {
        let of_nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(hash(b""), of_nothing);
    }
}
