//! Alembic: revisions in Python files, tied together by `down_revision` and `depends_on`; the table
//! holds heads alone.

use super::python::{Module, Value};
use crate::kinds::migrations::{
    dir::{File, Listing},
    files::stem,
    graph::{Graph, Revision},
    wanted::{Wanted, WantedMigration},
};
use crate::sort::sort_by_key;

/// Returns true if Python files lie here or below.
pub(crate) fn recognises(listing: &Listing) -> bool {
    // The content distinguishes them from other Python files, but is read only once an Alembic
    // table exists.
    listing.files.iter().any(is_candidate)
}

fn is_candidate(file: &File) -> bool {
    file.path.ends_with(".py") && file.name() != "__init__.py"
}

/// Reads a versions directory, or the one above it.
///
/// With `recursive_version_locations` Alembic also reads the directories below. A revision there is
/// wanted if it is connected to one of the directory itself. So is each if the directory itself
/// holds none. Others, such as an archive, are known but not wanted.
pub(crate) fn read(listing: &Listing) -> Result<Wanted, String> {
    let mut revisions: Vec<(&File, Revision)> = Vec::new();
    for file in listing.files.iter().filter(|file| is_candidate(file)) {
        if let Some(revision) = revision(listing, file)? {
            revisions.push((file, revision));
        }
    }
    let base = ["", "versions"]
        .into_iter()
        .find(|base| revisions.iter().any(|(file, _)| file.dir().1 == *base));
    let is_base = |file: &File| base.is_none_or(|base| file.dir().1 == base);
    // Where an archive holds a copy, the one in the directory itself counts.
    sort_by_key(&mut revisions, |(file, _)| is_base(file));
    let bases: Vec<usize> =
        (0..revisions.len()).filter(|place| is_base(revisions[*place].0)).collect();
    let graph = Graph::new(revisions.iter().map(|(_, revision)| revision.clone()).collect());
    let wanted = graph.tied_to(bases.into_iter());
    let list = graph
        .in_order()
        .into_iter()
        .filter(|(place, _)| wanted.contains(place))
        .map(|(_, revision)| WantedMigration::new(&revision.label, &revision.id))
        .collect();
    Ok(Wanted { list, graph: Some(graph) })
}

/// Returns a module's revision. `None` means that it assigns none, as other Python files.
fn revision(listing: &Listing, file: &File) -> Result<Option<Revision>, String> {
    let bytes = listing.bytes(file)?;
    if !bytes.windows(b"revision".len()).any(|window| window == b"revision") {
        return Ok(None);
    }
    let module = Module::read(&bytes).map_err(|message| format!("{}: {message}", file.path))?;
    let (Some(id), down) = (module.scope.get("revision"), module.scope.get("down_revision")) else {
        return Ok(None);
    };
    let must_be = |name: &str, wanted: &str| format!("{}: {name} must be {wanted}", file.path);
    let id = id.text().ok_or_else(|| must_be("revision", "a plain string, e.g. 'ae1027a6acf0'"))?;
    let of = |name: &str, value: Option<&Value>| match value {
        None => Ok(Vec::new()),
        Some(value) => {
            value.strings().ok_or_else(|| must_be(name, "None, a plain string or several"))
        }
    };
    let mut parents = of("down_revision", down)?;
    parents.extend(of("depends_on", module.scope.get("depends_on"))?);
    let labels = of("branch_labels", module.scope.get("branch_labels")).unwrap_or_default();
    Ok(Some(Revision { id, label: stem(file.name()).to_owned(), parents, labels }))
}
