//! Sequel: a directory is numbered or timestamped, and each has a table of its own.

use std::cmp::Ordering;

use crate::kinds::migrations::{
    dir::{File, Listing},
    files::{sorted, stem},
    key::{self, Order},
    wanted::{Wanted, WantedMigration},
};

/// A version above this is a time (Sequel's `MINIMUM_TIMESTAMP`).
const FIRST_TIMESTAMP: &str = "20000101";

/// Returns true if the directory is timestamped.
pub(crate) fn recognises_timestamps(listing: &Listing) -> bool {
    files(listing).iter().any(|(version, _)| is_time(version))
}

/// Returns true if the directory is numbered.
pub(crate) fn recognises_integers(listing: &Listing) -> bool {
    let files = files(listing);
    !files.is_empty() && !files.iter().any(|(version, _)| is_time(version))
}

/// A timestamped directory: the rows are file names in lower case.
pub(crate) fn timestamps(listing: &Listing) -> Result<Wanted, String> {
    if !recognises_timestamps(listing) {
        return Ok(Wanted::default());
    }
    let want = |(_, file): (String, &File)| {
        WantedMigration::new(stem(file.name()), file.name().to_lowercase())
    };
    Ok(Wanted::list(files(listing).into_iter().map(want).collect()))
}

/// A numbered directory: the row is the last number.
pub(crate) fn integers(listing: &Listing) -> Result<Wanted, String> {
    if !recognises_integers(listing) {
        return Ok(Wanted::default());
    }
    let want = |(number, file): (String, &File)| WantedMigration::new(stem(file.name()), number);
    Ok(Wanted::list(sorted(files(listing).into_iter().map(want).collect(), Order::Number)))
}

/// `NUMBER_NAME.rb` in either case, with their numbers.
fn files(listing: &Listing) -> Vec<(String, &File)> {
    let named = |file: &&File| {
        let name = file.name();
        let digits = name.bytes().take_while(u8::is_ascii_digit).count();
        digits > 0
            && name[digits..].starts_with('_')
            && name.len() > digits + 4
            && name.to_lowercase().ends_with(".rb")
    };
    listing.flat().filter(named).map(|file| (key::leading_number(file.name()), file)).collect()
}

fn is_time(version: &str) -> bool {
    key::compare(Order::Number, version, FIRST_TIMESTAMP) == Some(Ordering::Greater)
}
