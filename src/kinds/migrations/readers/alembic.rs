//! Alembic: revisions in Python files, tied together by `down_revision` and `depends_on`; the table holds heads alone.

use super::python::strings;
use crate::kinds::migrations::{
    dir::Listing,
    files::stem,
    graph::{Graph, Revision},
    wanted::{Want, Wanted},
};

/// Reads a versions directory, or the one above it.
pub fn read(listing: &Listing) -> Result<Wanted, String> {
    let in_versions = listing
        .files
        .iter()
        .filter_map(|path| path.strip_prefix("versions/").map(|_| path.as_str()));
    let mut revisions = revisions(listing, listing.flat())?;
    if revisions.is_empty() {
        revisions = self::revisions(listing, in_versions)?;
    }
    let graph = Graph::new(revisions);
    let list = graph
        .in_order()
        .into_iter()
        .map(|revision| Want::new(&revision.label, &revision.id))
        .collect();
    Ok(Wanted { list, graph: Some(graph) })
}

fn revisions<'a>(
    listing: &Listing,
    files: impl Iterator<Item = &'a str>,
) -> Result<Vec<Revision>, String> {
    let mut revisions = Vec::new();
    for path in files.filter(|path| path.ends_with(".py") && !path.ends_with("__init__.py")) {
        let text = listing.text(path)?;
        // Every revision says what it follows, be it None; other Python files do not.
        if !text.contains("down_revision") {
            continue;
        }
        let Some(id) = strings(&text, "revision").and_then(|ids| ids.into_iter().next()) else {
            return Err(format!("{path}: its revision is no plain string"));
        };
        let of = |name: &str| strings(&text, name).unwrap_or_default();
        let Some(mut parents) = strings(&text, "down_revision") else {
            return Err(format!("{path}: its down_revision is neither None nor plain strings"));
        };
        parents.extend(of("depends_on"));
        let label = stem(path.rsplit('/').next().unwrap_or(path)).to_owned();
        revisions.push(Revision { id, label, parents, labels: of("branch_labels") });
    }
    Ok(revisions)
}
