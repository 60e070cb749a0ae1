//! The command lines of the pages in `docs/` that `crate::docs` does not check.

use super::place::Place;
use super::texts::{files, in_markdown};
use crate::docs::PAGES;
use std::fs;

#[test]
fn every_command_line_of_the_pages_is_accepted() {
    let pages: Vec<_> = files("docs")
        .into_iter()
        .filter(|path| path.extension().is_some_and(|end| end == "md"))
        .filter(|path| !PAGES.iter().any(|page| path.ends_with(page)))
        .collect();
    let mut found = 0;
    for page in pages {
        let calls = in_markdown(&fs::read_to_string(&page).unwrap());
        let place = Place::new()
            .with_env("DATABASE_URL", "postgres://app:secret@db/app")
            .with_env("PGPASSWORD", "secret");
        calls.iter().for_each(|words| place.accepts(words));
        found += calls.len();
    }
    assert!(found > 10, "only {found} command lines were found");
}
