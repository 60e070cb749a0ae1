//! Django and aerich: an application's migrations lie in a directory of their own, and the row
//! names both.

use std::collections::{HashMap, HashSet};

use super::python::{Module, Value};
use crate::kinds::migrations::{
    dir::{File, Listing},
    key::{self, Order},
    wanted::{Wanted, WantedMigration},
};
use crate::sort::sort_by;

/// Returns true if `migrations/NAME.py` lies here or below.
pub(crate) fn recognises(listing: &Listing) -> bool {
    listing.files.iter().any(|file| is_candidate(listing, file))
}

fn is_candidate(listing: &Listing, file: &File) -> bool {
    let name = file.name();
    name.ends_with(".py")
        && !name.starts_with(['_', '~'])
        && listing.dir_name(file, 0).as_deref() == Some("migrations")
}

/// Django: `APP/migrations/NAME.py`, whichever part of it the directory is.
///
/// A module is a migration if it has a class `Migration`, or assigns the name, as in Django's
/// loader. The application's label is the one in its `apps.py`, else the directory's name.
/// Applications of tests and of virtual environments are not installed in the service.
pub(crate) fn read(listing: &Listing) -> Result<Wanted, String> {
    let mut labels: HashMap<(usize, String), String> = HashMap::new();
    let (mut list, mut packages) = (Vec::new(), HashSet::new());
    let environments: Vec<&File> =
        listing.files.iter().filter(|file| file.name() == "pyvenv.cfg").collect();
    let in_environment = |file: &File| {
        environments.iter().any(|of| {
            let (root, dir) = of.dir();
            file.dir().0 == root && (dir.is_empty() || file.path.starts_with(&format!("{dir}/")))
        })
    };
    for file in listing.files.iter().filter(|file| is_candidate(listing, file)) {
        let Some(app) = listing.dir_name(file, 1) else { continue };
        let app_dir = file.path.strip_suffix(file.name()).unwrap_or_default();
        let app_dir = app_dir.strip_suffix("migrations/").unwrap_or_default().to_owned();
        let place = (file.dir().0, app_dir);
        let label = labels.entry(place.clone()).or_insert_with(|| {
            label(listing, &file.beside(format!("{}apps.py", place.1))).unwrap_or(app)
        });
        let is_wanted = match listing.apps.as_slice() {
            [] => !is_of_tests(file) && !in_environment(file),
            apps => apps.contains(label),
        };
        if !is_wanted {
            continue;
        }
        let bytes = listing.bytes(file)?;
        let module = Module::read(&bytes).map_err(|message| format!("{}: {message}", file.path))?;
        let class = module.classes.iter().rfind(|class| class.name == "Migration");
        let assigned = module.scope.get("Migration");
        if class.is_none() && assigned.is_none() {
            continue;
        }
        if class.is_some() || assigned != Some(&Value::Imported) {
            packages.insert(place.clone());
        }
        let name = file.name().strip_suffix(".py").unwrap_or(file.name());
        let own = format!("{label}.{name}");
        let replaces = class.and_then(|class| class.scope.get("replaces")).map(replaced);
        let replaces = replaces.unwrap_or_default();
        let want = WantedMigration { replaces, ..WantedMigration::new(own.clone(), own) };
        list.push((place, want));
    }
    // A name that is imported counts too. But a package whose modules all import it is not
    // Django's: its own migrations have another meaning.
    let list: Vec<_> = list
        .into_iter()
        .filter(|(place, _)| packages.contains(place))
        .map(|(_, want)| want)
        .collect();
    let unknown = listing.apps.iter().find(|app| !labels.values().any(|label| label == *app));
    match unknown {
        Some(app) if !list.is_empty() || !labels.is_empty() => {
            Err(format!("holds no migration of the application {app}, which apps= names"))
        }
        _ => Ok(Wanted::list(list)),
    }
}

/// Returns true if a file lies below a directory of tests.
fn is_of_tests(file: &File) -> bool {
    file.path.split('/').rev().skip(2).any(|dir| dir == "tests" || dir == "test")
}

/// The label in an `apps.py`: of its only configuration, or of the one with `default = True`.
fn label(listing: &Listing, apps: &File) -> Option<String> {
    if !listing.holds(apps) {
        return None;
    }
    let module = Module::read(&listing.bytes(apps).ok()?).ok()?;
    let configs: Vec<_> = module
        .classes
        .iter()
        .filter(|class| {
            let is_config = |base: &String| base.ends_with("Config");
            class.scope.contains_key("name") && class.bases.iter().any(is_config)
        })
        .collect();
    let is_default = |value: bool| {
        move |class: &&&super::python::Class| {
            class.scope.get("default") == Some(&Value::Flag(value))
        }
    };
    let not_refused: Vec<_> =
        configs.iter().filter(|class| !is_default(false)(class)).copied().collect();
    let config = match not_refused.as_slice() {
        [only] => only,
        several => several.iter().find(|class| is_default(true)(class))?,
    };
    match config.scope.get("label") {
        Some(label) => label.text(),
        None => config.scope.get("name")?.text()?.rsplit('.').next().map(str::to_owned),
    }
}

/// `[('app', '0001_initial'), ...]`. Nothing where it is not plain: the squashed migration's own
/// row decides then.
fn replaced(value: &Value) -> Vec<String> {
    let Value::List(pairs) = value else { return Vec::new() };
    let pair = |pair: &Value| match pair.strings()?.as_slice() {
        [app, name] => Some(format!("{app}.{name}")),
        _ => None,
    };
    pairs.iter().map(pair).collect::<Option<_>>().unwrap_or_default()
}

/// Returns true if numbered Python files lie here or below.
pub(crate) fn recognises_aerich(listing: &Listing) -> bool {
    listing.files.iter().any(|file| aerich_app(listing, file).is_some())
}

/// The application of aerich that a file belongs to.
fn aerich_app(listing: &Listing, file: &File) -> Option<String> {
    let name = file.name().strip_suffix(".py")?;
    let numbered = name.starts_with(|c: char| c.is_ascii_digit()) && name.contains('_');
    listing.dir_name(file, 0).filter(|app| numbered && app != "migrations")
}

/// aerich: `APP/N_NAME.py`, recorded with its extension.
pub(crate) fn read_aerich(listing: &Listing) -> Result<Wanted, String> {
    let mut list = Vec::new();
    for file in &listing.files {
        let Some(app) = aerich_app(listing, file) else { continue };
        if !listing.apps.is_empty() && !listing.apps.contains(&app) {
            continue;
        }
        let name = file.name();
        let stem = name.strip_suffix(".py").unwrap_or(name);
        list.push((
            key::leading_number(name),
            WantedMigration::new(format!("{app}.{stem}"), format!("{app}.{name}")),
        ));
    }
    sort_by(&mut list, |(a, _), (b, _)| key::compare(Order::Number, a, b).unwrap_or(a.cmp(b)));
    Ok(Wanted::list(list.into_iter().map(|(_, want)| want).collect()))
}
