//! Doctrine: a row holds a class's full name; older releases recorded the number in it.

use std::collections::HashMap;

use super::source::{Token, tokens};
use crate::kinds::migrations::{
    dir::{File, Listing},
    files::stem,
    wanted::{Wanted, WantedMigration},
};

/// `Version20240101.php`: its class.
fn class(file: &File) -> Option<&str> {
    let name = file.name().strip_suffix(".php")?;
    (name.starts_with("Version")).then_some(name)
}

/// Returns true if a file lies here or below that is called like a class of Doctrine's.
pub(crate) fn recognises(listing: &Listing) -> bool {
    listing.files.iter().any(|file| class(file).is_some())
}

/// For the table of today: the class with its namespace, as the file declares it.
///
/// An empty file, or a list of names, declares nothing. Then the number in the name counts, in any
/// namespace.
pub(crate) fn read(listing: &Listing) -> Result<Wanted, String> {
    let classes: Vec<_> =
        listing.files.iter().filter_map(|file| Some((file, class(file)?))).collect();
    let mut numbers: HashMap<String, usize> = HashMap::new();
    for (_, class) in &classes {
        *numbers.entry(number(class)).or_default() += 1;
    }
    let want = |(file, class): &(&File, &str)| {
        let bytes = listing.bytes(file).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let key = match namespace(&text) {
            Some(namespace) => format!("{namespace}\\{class}"),
            None if text.contains("class") => (*class).to_owned(),
            None if numbers.get(&number(class)) == Some(&1) => number(class),
            None => return Err(format!("{}: must declare its class's namespace", file.path)),
        };
        Ok(WantedMigration::new(stem(file.name()), key))
    };
    Ok(Wanted::list(classes.iter().map(want).collect::<Result<_, _>>()?))
}

/// For the table of releases before 3.0: the number in the class's name.
pub(crate) fn read_numbers(listing: &Listing) -> Result<Wanted, String> {
    let want = |file: &File| Some(WantedMigration::new(stem(file.name()), number(class(file)?)));
    Ok(Wanted::list(listing.files.iter().filter_map(want).collect()))
}

/// The number in a class's name, with a namespace or without.
pub(crate) fn number(class: &str) -> String {
    let class = class.rsplit('\\').next().unwrap_or(class);
    class.strip_prefix("Version").unwrap_or(class).to_owned()
}

/// `namespace A\B;` or `namespace A\B {`, where a statement begins.
fn namespace(text: &str) -> Option<String> {
    let tokens = tokens(text);
    let begins = |place: usize| {
        let before = place.checked_sub(1).map(|before| &tokens[before]);
        before
            .is_none_or(|before| matches!(before, Token::Other(';' | '}')) || before.is_word("php"))
    };
    let place =
        (0..tokens.len()).find(|place| tokens[*place].is_word("namespace") && begins(*place))?;
    let parts = tokens[place + 1..].iter().map_while(|token| match token {
        Token::Word(word) => Some(word.clone()),
        Token::Other('\\') => Some("\\".to_owned()),
        _ => None,
    });
    Some(parts.collect::<String>()).filter(|namespace| !namespace.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_read_from_the_file() {
        for (text, want) in [
            (
                "<?php\n\ndeclare(strict_types=1);\n\nnamespace App\\Migrations;\n",
                Some("App\\Migrations"),
            ),
            ("<?php namespace A\\B { class C {} }", Some("A\\B")),
            ("<?php\n// namespace X;\n * namespace Y;\nnamespace Z ;", Some("Z")),
            ("<?php\n/*\nnamespace X;\n*/\nnamespace Z;", Some("Z")),
            ("<?php declare(strict_types=1); namespace A\\B; class C {}", Some("A\\B")),
            ("<?php\r\nnamespace Z;\r\n", Some("Z")),
            ("<?php\n$x = 'namespace X;';\nnamespace Z;", Some("Z")),
            ("<?php\nclass Version1 {}", None),
            ("", None),
        ] {
            assert_eq!(namespace(text).as_deref(), want, "{text}");
        }
    }
}
