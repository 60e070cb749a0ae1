//! TypeORM: a row holds a class's name, or the class's property `name`. The file's name decides
//! nothing.

use std::{collections::HashMap, ops::Range};

use super::source::{Token, decode, tokens};
use crate::kinds::migrations::{
    dir::{File, Listing},
    files::stem,
    key::is_number,
    wanted::{Wanted, WantedMigration},
};
use crate::sort::sort_by;

/// The digits at the end of a migration's name: its time in milliseconds.
const DIGITS: usize = 13;

fn is_script(file: &File) -> bool {
    const EXTENSIONS: [&str; 6] = [".js", ".ts", ".cjs", ".mjs", ".cts", ".mts"];
    const DECLARATIONS: [&str; 3] = [".d.ts", ".d.cts", ".d.mts"];
    let ends = |extension: &&str| file.path.ends_with(*extension);
    EXTENSIONS.iter().any(ends) && !DECLARATIONS.iter().any(ends)
}

/// Returns true if scripts lie here or below. Their classes are read only once TypeORM's table
/// exists.
pub(crate) fn recognises(listing: &Listing) -> bool {
    listing.files.iter().any(is_script)
}

/// Reads a directory of migrations, in TypeScript or compiled.
///
/// A file that is called `1700000000000-Name.js` and has no such class, e.g. an empty one, counts
/// by its number.
pub(crate) fn read(listing: &Listing) -> Result<Wanted, String> {
    let mut files: HashMap<String, &File> = HashMap::new();
    let (mut list, mut unnamed) = (Vec::new(), Vec::new());
    for file in listing.files.iter().filter(|file| is_script(file)) {
        let bytes = listing.bytes(file)?;
        let names =
            names(&decode(&bytes)).map_err(|message| format!("{}: {message}", file.path))?;
        if names.is_empty() {
            unnamed.extend(file_number(file).map(|number| (file, number)));
        }
        let alone = names.len() == 1;
        for name in names {
            let compiled =
                |other: &File| other.dir() == file.dir() && stem(other.name()) == stem(file.name());
            match files.get(&name) {
                Some(other) if compiled(other) => continue,
                _ => drop(files.insert(name.clone(), file)),
            }
            let label = if alone { stem(file.name()).to_owned() } else { name.clone() };
            list.push((time(&name).to_owned(), WantedMigration::new(label, name)));
        }
    }
    for (file, number) in unnamed {
        if list.iter().any(|(time, _)| time == number) {
            return Err(format!(
                "{}: must hold a class whose name ends in {number}, because another migration has \
                that number too",
                file.path
            ));
        }
        list.push((number.to_owned(), WantedMigration::new(stem(file.name()), number)));
    }
    sort_by(&mut list, |(a, _), (b, _)| a.cmp(b));
    Ok(Wanted::list(list.into_iter().map(|(_, want)| want).collect()))
}

/// The number that a file's name begins with.
fn file_number(file: &File) -> Option<&str> {
    let number = file.name().get(..DIGITS).filter(|number| is_number(number))?;
    file.name()[DIGITS..].starts_with('-').then_some(number)
}

/// The number that a migration's name ends in; nothing where it ends otherwise.
fn time(name: &str) -> &str {
    let start = name.len().checked_sub(DIGITS);
    start.and_then(|start| name.get(start..)).filter(|digits| is_number(digits)).unwrap_or("")
}

/// The names of the migrations that a file declares, as TypeORM records them.
fn names(text: &str) -> Result<Vec<String>, String> {
    let tokens = tokens(text);
    let mut names = Vec::new();
    let mut start = 0;
    while start < tokens.len() {
        let Some((class, body)) = class_at(&tokens, start) else {
            start += 1;
            continue;
        };
        // A class in a migration's body is not a migration.
        start = body.end + 1;
        let body = &tokens[body];
        let name = match property(body) {
            Some(Property::Plain(name)) => name,
            Some(Property::Constant(constant)) if constant_of(&tokens, constant).is_some() => {
                constant_of(&tokens, constant).unwrap_or_default().to_owned()
            }
            Some(_) if !time(class).is_empty() || is_migration(body) => {
                return Err(format!("the name of {class} must be a plain string"));
            }
            _ => class.to_owned(),
        };
        if !time(&name).is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// Tokens between the name of a class and its body, at most: bases with type parameters.
const MAX_HEAD: usize = 200;

/// The name of the class that begins here, and the place of its body: `class A {`, or, compiled for
/// old engines, `function A() {`. A body without an end goes to the end of the file.
fn class_at(tokens: &[Token], start: usize) -> Option<(&str, Range<usize>)> {
    let is_member = start > 0 && tokens[start - 1] == Token::Other('.');
    let is_class = tokens[start].is_word("class");
    if is_member || !is_class && !tokens[start].is_word("function") {
        return None;
    }
    let name = match tokens.get(start + 1)? {
        Token::Word(name) if name != "extends" && name != "implements" => name.as_str(),
        _ if is_class => assigned_name(&tokens[..start]),
        _ => return None,
    };
    // Other functions are many, and none is a migration.
    if !is_class && time(name).is_empty() {
        return None;
    }
    let mut head = tokens[start..].iter().take(MAX_HEAD);
    let open = start + head.position(|token| *token == Token::Other('{'))?;
    let mut depth = 0_usize;
    let is_end = |token: &Token| {
        match token {
            Token::Other('{') => depth += 1,
            Token::Other('}') => depth -= 1,
            _ => {}
        }
        depth == 0
    };
    let end = tokens[open..].iter().position(is_end).map_or(tokens.len(), |len| open + len);
    Some((name, open + 1..end))
}

/// The name of a class without one: that of the variable in `var A = class {`.
fn assigned_name(before: &[Token]) -> &str {
    let before = match before {
        [before @ .., Token::Other('=')] => before,
        _ => return "",
    };
    match before {
        // `const A: TYPE = class {`.
        [.., Token::Word(name), Token::Other(':'), Token::Word(_)] => name,
        [.., Token::Other('.'), Token::Word(_)] => "",
        [.., Token::Word(name)] => name,
        _ => "",
    }
}

/// Returns true if a class has the methods of a migration.
fn is_migration(body: &[Token]) -> bool {
    let has = |method: &str| {
        body.windows(2).any(|pair| pair[0].is_word(method) && pair[1] == Token::Other('('))
    };
    has("up") && has("down")
}

/// The string that a file gives a constant: `const NAME = '...'`.
fn constant_of<'a>(tokens: &'a [Token], constant: &str) -> Option<&'a str> {
    tokens.windows(3).find_map(|window| match window {
        [Token::Word(name), Token::Other('='), Token::Text(text)] if name == constant => {
            Some(text.as_str())
        }
        _ => None,
    })
}

/// The value of a class's property `name`.
#[derive(Debug, PartialEq, Eq)]
enum Property<'a> {
    /// A string.
    Plain(String),
    /// A constant, by its name.
    Constant(&'a str),
    /// A value that only the program knows.
    Computed,
}

/// The value that a class gives its property `name`.
fn property(body: &[Token]) -> Option<Property<'_>> {
    let mut depth = 0_usize;
    for (place, token) in body.iter().enumerate() {
        match token {
            Token::Other('{' | '(' | '[') => depth += 1,
            Token::Other('}' | ')' | ']') => depth = depth.saturating_sub(1),
            _ => {}
        }
        let Some(value) = value_of_name(body, place, depth) else { continue };
        return Some(match value {
            [Token::Text(_) | Token::Word(_), Token::Other('+' | '.' | '[' | '('), ..] => {
                Property::Computed
            }
            [Token::Text(value), ..] => Property::Plain(value.clone()),
            [Token::Word(constant), ..] => Property::Constant(constant),
            // `name == ...` compares.
            [Token::Other('='), ..] => continue,
            _ => Property::Computed,
        });
    }
    None
}

/// Returns the tokens of the value, if the token at `place` is the property `name`.
fn value_of_name(body: &[Token], place: usize, depth: usize) -> Option<&[Token]> {
    let before = |back: usize| place.checked_sub(back).and_then(|place| body.get(place));
    let is_this = |back: usize| before(back).is_some_and(|token| token.is_word("this"));
    let is_dotted = before(1) == Some(&Token::Other('.'));
    match &body[place..] {
        // `name = '...'` in the class, `this.name = '...'` in its constructor.
        [Token::Word(name), Token::Other('='), value @ ..]
            if name == "name" && (is_dotted && is_this(2) || depth == 0 && !is_dotted) =>
        {
            Some(value)
        }
        [Token::Word(name), Token::Other(':'), Token::Word(_), Token::Other('='), value @ ..]
            if name == "name" && depth == 0 =>
        {
            Some(value)
        }
        // `'name' = '...'` in the class.
        [Token::Text(name), Token::Other('='), value @ ..] if name == "name" && depth == 0 => {
            Some(value)
        }
        // `['name'] = '...'` in the class, `this['name'] = '...'` in its constructor.
        [Token::Text(name), Token::Other(']'), Token::Other('='), value @ ..]
            if name == "name"
                && before(1) == Some(&Token::Other('['))
                && (depth == 1 || is_this(2)) =>
        {
            Some(value)
        }
        // `get name() { return '...' }`
        [Token::Word(name), Token::Other('('), Token::Other(')'), rest @ ..]
            if name == "name" && before(1).is_some_and(|token| token.is_word("get")) =>
        {
            let place = rest.iter().position(|token| token.is_word("return"));
            Some(place.map_or(&[][..], |place| &rest[place + 1..]))
        }
        // `_defineProperty(this, "name", '...')`
        [Token::Text(name), Token::Other(','), value @ ..] if name == "name" && is_this(2) => {
            Some(value)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_migration_is_called_as_its_class_or_its_property_says() {
        let own = "AddA1690000000030";
        for (text, want) in [
            (
                "export class AddA1690000000030 implements MigrationInterface {\n async up() {} }",
                &[own][..],
            ),
            ("class X1690000000031 { name = 'AddA1690000000030' }", &[own]),
            (
                "class X { readonly name: string = \"AddA1690000000030\"; up() { name = 'b' } }",
                &[own],
            ),
            ("class X1690000000031 { constructor() { this.name = 'AddA1690000000030'; } }", &[own]),
            (
                "class X { constructor() { _defineProperty(this, \"name\", 'AddA1690000000030'); } \
                }",
                &[own],
            ),
            ("class X { get name() { return `AddA1690000000030`; } }", &[own]),
            ("module.exports = class { name = 'AddA1690000000030' }", &[own]),
            ("var AddA1690000000030 = class { up() {} };", &[own]),
            ("const AddA1690000000030: T = class extends B {};", &[own]),
            ("exports.X1690000000031 = class {}; class AddA1690000000030 {}", &[own]),
            ("class X { 'name' = 'AddA1690000000030' }", &[own]),
            ("class X { ['name'] = 'AddA1690000000030' }", &[own]),
            ("class X { constructor() { this['name'] = 'AddA1690000000030' } }", &[own]),
            ("const N = 'AddA1690000000030'; class X { name = N; }", &[own]),
            ("class Helper { name = N; up() {} }", &[]),
            (
                "var AddA1690000000030 = /** @class */ (function () { function AddA1690000000030() \
                { \
                 this.name = 'AddA1690000000030'; } return AddA1690000000030; }());",
                &[own],
            ),
            (
                "class AddA1690000000030 { up() { q(`insert into t(name) values ('${x}')`) } }",
                &[own],
            ),
            ("class AddA1690000000030 { up(q) { q.name = 'no' } }", &[own]),
            ("class AddA1690000000030 {} class B1690000000031 {}", &[own, "B1690000000031"]),
            ("// class AddA1690000000030 {}\nclass Helper {}", &[]),
            ("function AddA() {} const s = 'class B1690000000031 {}'", &[]),
            ("", &[]),
        ] {
            assert_eq!(names(text).unwrap(), want, "{text}");
        }
        assert_eq!(
            names("class AddA1690000000030 { name = PREFIX + '1690000000030' }").unwrap_err(),
            "the name of AddA1690000000030 must be a plain string"
        );
        assert_eq!(
            names("class Add { name = NAMES.add; up(q) {} down(q) {} }").unwrap_err(),
            "the name of Add must be a plain string"
        );
    }
}
