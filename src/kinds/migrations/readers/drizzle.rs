//! Drizzle: a journal that gives each migration its time (0.x), or a directory for each whose name begins with it (1.0).

use serde_json::Value;

use crate::kinds::migrations::{
    dir::Listing,
    wanted::{Want, Wanted},
};

const JOURNAL: &str = "meta/_journal.json";

/// Reads the migrations folder.
pub fn read(listing: &Listing) -> Result<Wanted, String> {
    let list = match listing.files.iter().any(|path| path == JOURNAL) {
        true => journal(&listing.text(JOURNAL)?)
            .ok_or_else(|| format!("{JOURNAL}: is not Drizzle's journal"))?,
        false => listing
            .files
            .iter()
            .filter_map(|path| folder(path.strip_suffix("/migration.sql")?))
            .collect(),
    };
    Ok(Wanted { list, graph: None })
}

/// `entries[].{tag,when}`. A table that 1.0 took over holds the tag as the name.
fn journal(text: &str) -> Option<Vec<Want>> {
    let journal: Value = serde_json::from_str(text).ok()?;
    let mut list = Vec::new();
    for entry in journal.get("entries")?.as_array()? {
        let (tag, when) = (entry.get("tag")?.as_str()?, entry.get("when")?);
        let when = when.as_i64().map(|when| when.to_string()).unwrap_or_else(|| when.to_string());
        list.push(Want { keys: vec![when, tag.to_owned()], ..Want::new(tag, "") });
    }
    Some(list)
}

/// `20240101120000_name`: recorded by its name, and by the time in milliseconds.
fn folder(name: &str) -> Option<Want> {
    let digits = name.get(..14).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
    name.get(14..)?.strip_prefix('_').filter(|rest| !rest.contains('/'))?;
    let mut keys = vec![name.to_owned()];
    keys.extend(milliseconds(digits).map(|time| time.to_string()));
    Some(Want { keys, ..Want::new(name, "") })
}

/// `YYYYMMDDhhmmss`, UTC, since 1970. Days by Howard Hinnant's `days_from_civil`.
fn milliseconds(digits: &str) -> Option<i64> {
    let part = |from: usize, to: usize| digits.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = y.div_euclid(400);
    let of_era = y - era * 400;
    let of_year = (153 * m + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some(((days * 24 + part(8, 10)?) * 60 + part(10, 12)?) * 60_000 + part(12, 14)? * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_known_by_its_name_and_its_time() {
        assert_eq!(
            folder("20240101120000_first").unwrap().keys,
            ["20240101120000_first", "1704110400000"]
        );
        assert_eq!(milliseconds("19700101000001"), Some(1000));
        assert_eq!(milliseconds("20000229235959"), Some(951_868_799_000));
        assert_eq!(folder("2024_first"), None);
    }

    #[test]
    fn a_journal_that_is_none_is_refused() {
        assert_eq!(journal("{}"), None);
        assert_eq!(journal("[1"), None);
        let list = journal(r#"{"entries":[{"idx":0,"when":5,"tag":"0000_a"}]}"#).unwrap();
        assert_eq!((list[0].label.as_str(), list[0].keys[0].as_str()), ("0000_a", "5"));
    }
}
