//! graphile-migrate: committed migrations, numbered; the current one is work in progress and is
//! never recorded.

use crate::kinds::migrations::{
    dir::{File, Listing},
    files::{sorted, stem},
    key::{Order, is_number},
    wanted::{Wanted, WantedMigration},
};

/// `000001.sql` or `000001-message.sql`: the row has the number.
fn number(file: &File) -> Option<&str> {
    let name = file.name().strip_suffix(".sql")?;
    Some(name.split('-').next().unwrap_or(name)).filter(|number| is_number(number))
}

/// Returns true if a committed migration lies here or in `committed/`.
pub(crate) fn recognises(listing: &Listing) -> bool {
    ["committed", ""]
        .iter()
        .any(|dir| listing.files.iter().any(|file| file.dir().1 == *dir && number(file).is_some()))
}

/// Reads the directory above `committed/`, or that directory itself.
pub(crate) fn read(listing: &Listing) -> Result<Wanted, String> {
    let lies_in = |dir: &str| {
        let of = |file: &File| {
            let number = number(file).filter(|_| file.dir().1 == dir)?;
            Some(WantedMigration::new(stem(file.name()), number))
        };
        sorted(listing.files.iter().filter_map(of).collect(), Order::Text)
    };
    let committed = lies_in("committed");
    Ok(Wanted::list(if committed.is_empty() { lies_in("") } else { committed }))
}
