//! The command lines of the pages in `docs/` that `crate::docs` does not check.

use super::place::Place;
use super::texts::{files, in_markdown};
use crate::docs::PAGES;
use afterall::kinds;
use std::fs;

/// Whether a call declares a dependency whose kind this build leaves out.
fn is_left_out(words: &[String]) -> bool {
    let scheme_of = |word: &String| {
        let (before, _) = word.split_once("://")?;
        Some(before.rsplit('=').next()?.to_owned())
    };
    let mut schemes = words.iter().filter_map(scheme_of);
    schemes.any(|scheme| kinds::find(&scheme, "").is_err_and(|error| error.contains("this build")))
}

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
        calls.iter().filter(|words| !is_left_out(words)).for_each(|words| place.accepts(words));
        found += calls.len();
    }
    assert!(found > 10, "only {found} command lines were found");
}
