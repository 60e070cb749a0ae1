//! Liquibase: a changelog is a program, so a directory of them says nothing about what must be recorded.

use crate::kinds::migrations::{dir::Listing, wanted::Wanted};

/// Why `dir` cannot be used, and what can.
pub const INSTEAD: &str = "liquibase's changelogs are programs, whose changesets cannot be listed from their files: \
    use version=ID::AUTHOR or version=TAG of the last changeset, or neither";

/// Knows a changelog when it sees one, and refuses it.
pub fn read(listing: &Listing) -> Result<Wanted, String> {
    let changelog = listing.files.iter().take(1000).filter(|path| {
        let extension = path.rsplit('.').next().unwrap_or_default();
        matches!(extension, "sql" | "xml" | "yaml" | "yml" | "json")
    });
    for path in changelog {
        let text = listing.text(path).unwrap_or_default();
        let head: String = text.chars().take(2000).collect();
        if head.contains("databaseChangeLog")
            || head.to_lowercase().trim_start().starts_with("--liquibase formatted sql")
        {
            return Err(format!("{path}: {INSTEAD}"));
        }
    }
    Ok(Wanted::default())
}
