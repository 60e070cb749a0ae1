//! The command lines of the pages in `docs/`.

use super::place::Place;
use super::texts::{files, in_markdown};
use std::fs;

#[test]
fn every_command_line_of_the_pages_is_accepted() {
    let pages: Vec<_> = files("docs")
        .into_iter()
        .filter(|path| path.extension().is_some_and(|end| end == "md"))
        .collect();
    assert!(!pages.is_empty());
    for page in pages {
        let calls = in_markdown(&fs::read_to_string(&page).unwrap());
        assert!(!calls.is_empty(), "{} calls no afterall", page.display());
        let place = Place::new()
            .with_env("DATABASE_URL", "postgres://app:secret@db/app")
            .with_env("PGPASSWORD", "secret");
        calls.iter().for_each(|words| place.accepts(words));
    }
}
