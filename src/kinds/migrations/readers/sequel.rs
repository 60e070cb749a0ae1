//! Sequel: a directory is numbered or timestamped, and each has a table of its own.

use crate::kinds::migrations::{
    dir::Listing,
    files::{sorted, stem},
    key::{self, Order},
    wanted::{Want, Wanted},
};

/// A version above this is a time (Sequel's `MINIMUM_TIMESTAMP`).
const FIRST_TIMESTAMP: &str = "20000101";

/// A timestamped directory: recorded are file names, in lower case.
pub fn timestamps(listing: &Listing) -> Result<Wanted, String> {
    let files = files(listing);
    let list = match is_timestamped(&files) {
        true => {
            files.into_iter().map(|(_, name)| Want::new(stem(name), name.to_lowercase())).collect()
        }
        false => Vec::new(),
    };
    Ok(Wanted { list, graph: None })
}

/// A numbered directory: recorded is the last number.
pub fn integers(listing: &Listing) -> Result<Wanted, String> {
    let files = files(listing);
    let list = match is_timestamped(&files) {
        true => Vec::new(),
        false => files.into_iter().map(|(number, name)| Want::new(stem(name), number)).collect(),
    };
    Ok(Wanted { list: sorted(list, Order::Number), graph: None })
}

/// `NUMBER_NAME.rb` in either case, as numbers and names.
fn files(listing: &Listing) -> Vec<(String, &str)> {
    let named = |name: &&str| {
        let digits = name.bytes().take_while(u8::is_ascii_digit).count();
        digits > 0
            && name[digits..].starts_with('_')
            && name.len() > digits + 4
            && name.to_lowercase().ends_with(".rb")
    };
    listing.flat().filter(named).map(|name| (key::leading_number(name), name)).collect()
}

fn is_timestamped(files: &[(String, &str)]) -> bool {
    let above = |version: &str| {
        key::compare(Order::Number, version, FIRST_TIMESTAMP) == Some(std::cmp::Ordering::Greater)
    };
    files.iter().any(|(version, _)| above(version))
}
