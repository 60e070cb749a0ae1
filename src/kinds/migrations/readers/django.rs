//! Django and aerich: an application's migrations stand in a directory of their own, and the row names both.

use super::python::strings;
use crate::kinds::migrations::{
    dir::Listing,
    key::{self, Order},
    wanted::{Want, Wanted},
};

/// Django: `APP/migrations/NAME.py`, wherever in that the directory begins. The label is taken to be the directory's name.
pub fn read(listing: &Listing) -> Result<Wanted, String> {
    let mut list = Vec::new();
    for (path, name) in python_files(listing) {
        let hidden = name.starts_with(['_', '~']);
        if hidden || listing.dir_name(path, 0).as_deref() != Some("migrations") {
            continue;
        }
        let Some(app) = listing.dir_name(path, 1) else { continue };
        let text = listing.text(path)?;
        if !text.contains("Migration") {
            continue;
        }
        let replaced = strings(&text, "replaces").unwrap_or_default();
        let or_all =
            replaced.chunks_exact(2).map(|pair| format!("{}.{}", pair[0], pair[1])).collect();
        let own = format!("{app}.{name}");
        list.push(Want { or_all, ..Want::new(own.clone(), own) });
    }
    Ok(Wanted { list, graph: None })
}

/// aerich: `APP/N_NAME.py`, recorded with its extension.
pub fn read_aerich(listing: &Listing) -> Result<Wanted, String> {
    let numbered =
        |name: &str| name.starts_with(|c: char| c.is_ascii_digit()) && name.contains('_');
    let mut list = Vec::new();
    for (path, name) in python_files(listing).filter(|(_, name)| numbered(name)) {
        let Some(app) = listing.dir_name(path, 0).filter(|app| app != "migrations") else {
            continue;
        };
        list.push((
            key::leading_number(name),
            Want::new(format!("{app}.{name}"), format!("{app}.{name}.py")),
        ));
    }
    list.sort_by(|(a, _), (b, _)| key::compare(Order::Number, a, b).unwrap_or(a.cmp(b)));
    Ok(Wanted { list: list.into_iter().map(|(_, want)| want).collect(), graph: None })
}

/// Paths, and names without `.py`.
fn python_files(listing: &Listing) -> impl Iterator<Item = (&str, &str)> {
    listing.files.iter().filter_map(|path| {
        let name = path.rsplit('/').next()?.strip_suffix(".py")?;
        Some((path.as_str(), name))
    })
}
