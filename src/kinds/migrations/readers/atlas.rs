//! Atlas: files by version, and checkpoints that include everything before them where a database is
//! new.

use crate::kinds::migrations::{
    dir::{File, Listing},
    files::stem,
    wanted::{Wanted, WantedMigration},
};

/// Returns true if SQL files lie here.
pub(crate) fn recognises(listing: &Listing) -> bool {
    listing.flat().any(|file| file.path.ends_with(".sql"))
}

/// Reads a migration directory. The version is the text before the first `_`.
pub(crate) fn read(listing: &Listing) -> Result<Wanted, String> {
    let mut files = Vec::new();
    for file in listing.flat().filter(|file| file.path.ends_with(".sql")) {
        let stem = stem(file.name());
        let version = stem.split('_').next().unwrap_or(stem).to_owned();
        files.push((version, stem, is_checkpoint(listing, file)));
    }
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

fn is_checkpoint(listing: &Listing, file: &File) -> bool {
    // A file that is not text is not a checkpoint. In a list of names every file is wanted.
    let text = listing.text(file).unwrap_or_default();
    text.lines()
        .take_while(|line| line.starts_with("--"))
        .any(|line| line.contains("atlas:checkpoint"))
}
