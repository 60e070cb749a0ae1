//! Liquibase: a changelog is a program, so its files do not list what must be recorded.

use crate::kinds::migrations::{
    dir::{File, Listing},
    wanted::Wanted,
};

/// The reason why `dir` cannot be used, and the alternative.
pub(crate) const INSTEAD: &str = "liquibase's changelogs are programs, whose changesets cannot be \
    listed from their files: \
    use version=ID::AUTHOR or version=TAG of the last changeset, or neither";

/// The most files that are opened to find a changelog.
const MAX_OPENED: usize = 1000;

fn is_candidate(file: &&File) -> bool {
    let extension = file.name().rsplit('.').next().unwrap_or_default();
    matches!(extension, "sql" | "xml" | "yaml" | "yml" | "json")
}

/// Returns true if files lie here that could be changelogs.
pub(crate) fn recognises(listing: &Listing) -> bool {
    listing.files.iter().any(|file| is_candidate(&file))
}

/// Recognises a changelog, and refuses it.
pub(crate) fn read(listing: &Listing) -> Result<Wanted, String> {
    for file in listing.files.iter().filter(is_candidate).take(MAX_OPENED) {
        let text = listing.text(file).unwrap_or_default();
        let head: String = text.chars().take(2000).collect();
        if head.contains("databaseChangeLog")
            || head.to_lowercase().trim_start().starts_with("--liquibase formatted sql")
        {
            return Err(format!("{}: {INSTEAD}", file.path));
        }
    }
    Ok(Wanted::default())
}
