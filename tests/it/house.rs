//! The house: the modules import each other in one direction.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The files of `src`, each with the modules that it imports.
struct Modules {
    imports: BTreeMap<String, BTreeSet<String>>,
}

impl Modules {
    fn read() -> Self {
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut texts = BTreeMap::new();
        collect(&src, &mut Vec::new(), &mut texts);
        let names: BTreeSet<String> = texts.keys().cloned().collect();
        let imports = texts.iter().map(|(module, text)| {
            let paths = paths(module, text);
            let targets = paths.iter().filter_map(|path| owner(path, &names));
            // A module and its own parent may refer to each other: they are one room.
            let others =
                targets.filter(|other| !is_within(module, other) && !is_within(other, module));
            (module.clone(), others.collect())
        });
        Self { imports: imports.collect() }
    }

    /// A path of imports from a module back to itself, if there is one.
    fn circle(&self) -> Option<Vec<String>> {
        self.imports.keys().find_map(|start| {
            let mut stack = vec![vec![start.clone()]];
            let mut seen = BTreeSet::new();
            while let Some(path) = stack.pop() {
                for next in &self.imports[path.last()?] {
                    let longer = [path.as_slice(), std::slice::from_ref(next)].concat();
                    if next == start {
                        return Some(longer);
                    }
                    if seen.insert(next.clone()) {
                        stack.push(longer);
                    }
                }
            }
            None
        })
    }
}

/// Reads every source file but `main.rs`, `lib.rs` and tests, by its module's path.
fn collect(dir: &Path, module: &mut Vec<String>, texts: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            module.push(name);
            collect(&path, module, texts);
            module.pop();
            continue;
        }
        let is_root = module.is_empty() && ["main", "lib", "start"].contains(&name.as_str());
        if is_root || name.ends_with("tests") || path.extension().is_none_or(|end| end != "rs") {
            continue;
        }
        let own = (name != "mod").then_some(name);
        let full: Vec<String> = module.iter().cloned().chain(own).collect();
        texts.insert(full.join("::"), fs::read_to_string(&path).unwrap());
    }
}

/// The paths below `crate::` that a file names, those of groups in braces included.
fn paths(module: &str, text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]").next().unwrap();
    let lines = code.lines().map(|line| line.split("//").next().unwrap());
    let code: String = lines.collect::<Vec<_>>().join(" ");
    let mut found = Vec::new();
    for (root, prefix) in [("crate::", String::new()), ("super::", parent(module))] {
        for (at, _) in code.match_indices(root) {
            expand(&prefix, &code[at + root.len()..], &mut found);
        }
    }
    found
}

/// Expands `a::{b, c::d}`, the text behind a root, into full paths.
fn expand(prefix: &str, text: &str, found: &mut Vec<String>) {
    let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let end = text.find(|c| !is_name(c)).unwrap_or(text.len());
    let (path, rest) = text.split_at(end);
    let joined = [prefix, path.trim_end_matches(':')].map(str::to_owned);
    let full = joined.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("::");
    let Some(group) = rest.strip_prefix('{').filter(|_| path.is_empty() || path.ends_with("::"))
    else {
        found.push(full);
        return;
    };
    let mut depth = 0;
    let mut item = 0;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                // Nothing follows the last comma.
                if !group[item..at].trim().is_empty() {
                    expand(&full, group[item..at].trim(), found);
                }
                item = at + 1;
                if c == '}' {
                    return;
                }
            }
            _ => {}
        }
    }
}

fn parent(module: &str) -> String {
    module.rsplit_once("::").map(|(parent, _)| parent.to_owned()).unwrap_or_default()
}

/// The module that holds what `path` names.
fn owner(path: &str, modules: &BTreeSet<String>) -> Option<String> {
    let ends = path.match_indices("::").map(|(at, _)| at).chain([path.len()]);
    let prefixes: Vec<&str> = ends.map(|end| &path[..end]).collect();
    prefixes.into_iter().rev().find(|prefix| modules.contains(*prefix)).map(str::to_owned)
}

fn is_within(module: &str, room: &str) -> bool {
    module == room || module.strip_prefix(room).is_some_and(|rest| rest.starts_with("::"))
}

#[test]
fn imports_go_one_way() {
    let modules = Modules::read();
    let known = &modules.imports;
    assert!(known["kinds::tcp"].contains("probe"), "an import was not found: {known:?}");
    if let Some(circle) = modules.circle() {
        panic!("a circle of imports: {}", circle.join(" -> "));
    }
}

/// Tables of data, whose rows read better whole.
const TABLES: [&str; 4] = [
    "src/kinds/migrations/tools.rs",
    "src/kinds/migrations/mysql_tools.rs",
    "tests/it/kinds/migrations/fixtures.rs",
    "tests/it/kinds/migrations/layouts.rs",
];

#[test]
fn files_and_lines_are_short() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut dirs = ["src", "tests/it", "fuzz/src"].map(|dir| root.join(dir)).to_vec();
    let (mut files, mut long) = (0, Vec::new());
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
                continue;
            }
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            if !name.ends_with(".rs") || TABLES.contains(&name) {
                continue;
            }
            files += 1;
            let text = fs::read_to_string(&path).unwrap();
            let lines = text.lines().enumerate().filter(|(_, line)| line.chars().count() > 100);
            long.extend(lines.map(|(number, _)| format!("{name}:{}: 100 columns", number + 1)));
            if text.lines().count() > 500 {
                long.push(format!("{name}: 500 lines"));
            }
        }
    }
    assert!(files > 300, "{files} files");
    assert!(long.is_empty(), "longer than allowed: {long:#?}");
}
