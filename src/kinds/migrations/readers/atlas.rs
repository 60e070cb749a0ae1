//! Atlas: files by version, and checkpoints that stand for everything before them where a database is new.

use crate::kinds::migrations::{
    dir::Listing,
    files::stem,
    wanted::{Want, Wanted},
};

/// Reads a migration directory. The version is what stands before the first `_`.
pub fn read(listing: &Listing) -> Result<Wanted, String> {
    let mut files = Vec::new();
    for name in listing.flat().filter(|name| name.ends_with(".sql")) {
        let stem = stem(name);
        let version = stem.split('_').next().unwrap_or(stem).to_owned();
        // One that cannot be read as text is at any rate no checkpoint.
        let text = listing.text(name).unwrap_or_default();
        let checkpoint = text
            .lines()
            .take_while(|line| line.starts_with("--"))
            .any(|line| line.contains("atlas:checkpoint"));
        files.push((version, stem, checkpoint));
    }
    let checkpoints: Vec<String> =
        files.iter().filter(|file| file.2).map(|file| file.0.clone()).collect();
    let mut list = Vec::new();
    for (place, (version, stem, checkpoint)) in files.iter().enumerate() {
        if *checkpoint && place > 0 {
            // A database that went through the files before it never runs it.
            continue;
        }
        let mut want = Want { or_later: *checkpoint, ..Want::new(*stem, version) };
        want.keys.extend(checkpoints.iter().filter(|checkpoint| *checkpoint > version).cloned());
        list.push(want);
    }
    Ok(Wanted { list, graph: None })
}
