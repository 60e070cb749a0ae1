//! Atlas: files by version, and checkpoints that include everything before them where a database is
//! new.

use crate::kinds::migrations::{
    dir::{File, Listing},
    files::stem,
    wanted::{Wanted, WantedMigration},
};
use crate::sort::sort;

/// Returns true if SQL files lie here.
pub(crate) fn recognises(listing: &Listing) -> bool {
    listing.flat().any(|file| file.path.ends_with(".sql"))
}

/// Reads a migration directory. The version is the text before the first `_`.
pub(crate) fn read(listing: &Listing) -> Result<Wanted, String> {
    let mut files = Vec::new();
    for file in listing.flat().filter(|file| file.path.ends_with(".sql")) {
        let stem = stem(file.name());
        if let Some(version) = version(file.name()) {
            files.push((version, stem, is_checkpoint(listing, file)));
        }
    }
    sort(&mut files);
    let checkpoints: Vec<String> =
        files.iter().filter(|file| file.2).map(|file| file.0.clone()).collect();
    let mut list = Vec::new();
    for (place, (version, stem, checkpoint)) in files.iter().enumerate() {
        if *checkpoint && place > 0 {
            // A database that went through the files before it never runs it.
            continue;
        }
        let later = checkpoints.iter().filter(|checkpoint| *checkpoint > version).cloned();
        list.push(WantedMigration {
            or_later: *checkpoint,
            included_in: later.collect(),
            ..WantedMigration::new(*stem, version)
        });
    }
    Ok(Wanted::list(list))
}

/// The version in a name: the text before the first `_`. `None` for the way back.
///
/// A directory may have the format of golang-migrate (`1_a.up.sql`) or Flyway (`V1__a.sql`).
fn version(name: &str) -> Option<String> {
    let numbered = |prefix: char| {
        let rest = name.strip_prefix(prefix)?;
        rest.starts_with(|c: char| c.is_ascii_digit()).then_some(rest)?.split_once("__")
    };
    if name.ends_with(".down.sql") || numbered('U').is_some() {
        return None;
    }
    if let Some((version, _)) = numbered('V') {
        return Some(version.to_owned());
    }
    let stem = name.strip_suffix(".sql").unwrap_or(name);
    let stem = stem.strip_suffix(".up").unwrap_or(stem);
    Some(stem.split('_').next().unwrap_or(stem).to_owned())
}

fn is_checkpoint(listing: &Listing, file: &File) -> bool {
    // A file that is not text is not a checkpoint. In a list of names every file is wanted.
    let text = listing.text(file).unwrap_or_default();
    text.lines()
        .take_while(|line| line.starts_with("--"))
        .filter_map(|line| {
            line.trim_start_matches('-').trim_start().strip_prefix("atlas:checkpoint")
        })
        .any(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
}
