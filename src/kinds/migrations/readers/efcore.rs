//! EF Core: a migration's id is its class's attribute, usually in the Designer file.

use crate::kinds::migrations::{
    dir::{File, Listing},
    files::stem,
    key,
    wanted::{Wanted, WantedMigration},
};
use crate::sort::sort_by;

use super::source::{Token, decode, tokens};

/// Digits of the time that a file's name begins with.
const DIGITS: usize = 14;

/// `20240101120000_Name.cs`, without its Designer file.
fn by_name(file: &File) -> Option<&str> {
    let name = file.name().strip_suffix(".cs")?;
    let time = name.get(..DIGITS).filter(|time| key::is_number(time))?;
    let rest = name.strip_prefix(time)?.strip_prefix('_')?;
    (!rest.is_empty() && !rest.ends_with(".Designer")).then_some(name)
}

/// Returns true if files lie here or below that are called as EF Core calls them.
pub(crate) fn recognises(listing: &Listing) -> bool {
    listing.files.iter().any(|file| by_name(file).is_some())
}

/// Reads a project's directory.
///
/// EF Core finds a class by `[Migration("ID")]`, and does not see one without it. Only where no
/// file has the attribute, as in a directory of empty files, the names count.
pub(crate) fn read(listing: &Listing) -> Result<Wanted, String> {
    let mut list = Vec::new();
    for file in listing.files.iter().filter(|file| file.path.ends_with(".cs")) {
        let bytes = listing.bytes(file)?;
        for id in ids(&decode(&bytes)) {
            let id = id.ok_or_else(|| {
                format!("{}: Migration(...) must have a plain string, e.g. \"2024_A\"", file.path)
            })?;
            let key = key::lower_case(&id);
            list.push(WantedMigration::new(id, key));
        }
    }
    if list.is_empty() {
        let named = listing.files.iter().filter_map(by_name);
        list.extend(named.map(|name| WantedMigration::new(stem(name), key::lower_case(name))));
    }
    sort_by(&mut list, |a, b| a.keys.cmp(&b.keys));
    Ok(Wanted::list(list))
}

/// Returns the ids in attributes `[Migration("...")]`, alone or among others. `None`: an id is not
/// a plain string.
fn ids(text: &str) -> Vec<Option<String>> {
    if !text.contains("Migration") {
        return Vec::new();
    }
    let tokens = tokens(text);
    let mut ids = Vec::new();
    for (place, token) in tokens.iter().enumerate() {
        let is_attribute = match token {
            Token::Word(word) => word == "Migration" || word == "MigrationAttribute",
            _ => false,
        };
        let before = place.checked_sub(1).and_then(|before| tokens.get(before));
        let is_first = matches!(before, Some(Token::Other('[' | ',' | '.' | ':')));
        if is_attribute && is_first && tokens.get(place + 1) == Some(&Token::Other('(')) {
            ids.push(match (tokens.get(place + 2), tokens.get(place + 3)) {
                (Some(Token::Text(id)), Some(Token::Other(')'))) => Some(id.clone()),
                _ => None,
            });
        }
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_from_the_attribute() {
        let some = |id: &str| Some(id.to_owned());
        for (text, want) in [
            ("[Migration(\"1_A\")]\npartial class A {}", vec![some("1_A")]),
            ("[DbContext(typeof(C))]\n    [Migration(\"1_A\")]", vec![some("1_A")]),
            ("[DbContext(typeof(C)), Migration(@\"1_A\")]", vec![some("1_A")]),
            ("[Microsoft.EntityFrameworkCore.Migrations.Migration(\"1_A\")]", vec![some("1_A")]),
            ("[Migration(Ids.First)]", vec![None]),
            (
                "// [Migration(\"1_A\")]\n/* [Migration(\"1_A\")] */ var s = \"[Migration(\";",
                vec![],
            ),
            ("class A : Migration { A() : base() {} }", vec![]),
        ] {
            assert_eq!(ids(text), want, "{text}");
        }
    }
}
