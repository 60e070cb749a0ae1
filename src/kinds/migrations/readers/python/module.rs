//! The names that a module, or a class in it, binds to plain values at its top level.

use std::collections::HashMap;

use super::{
    source::decode,
    tokens::{Line, Token, lines},
};

/// The value of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// `None`.
    Nothing,
    /// `True` or `False`.
    Flag(bool),
    /// A string.
    Text(String),
    /// A tuple, a list or a set.
    List(Vec<Value>),
    /// A name of another module.
    Imported,
    /// A value that only Python can compute.
    Unknown,
}

impl Value {
    /// The strings in a string, in a list of strings, or in `None`. `None` if it contains anything
    /// else.
    pub(crate) fn strings(&self) -> Option<Vec<String>> {
        match self {
            Value::Nothing => Some(Vec::new()),
            Value::Text(text) => Some(vec![text.clone()]),
            Value::List(list) => list.iter().map(Value::text).collect(),
            Value::Flag(_) | Value::Imported | Value::Unknown => None,
        }
    }

    /// The text of a string.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    }
}

/// The assignments of a scope.
pub(super) type Scope = HashMap<String, Value>;

/// A class and what its body binds.
#[derive(Debug, Default)]
pub(crate) struct Class {
    /// Its name.
    pub name: String,
    /// Its bases, as far as they are names: the last part of each.
    pub bases: Vec<String>,
    /// The assignments in its body.
    pub scope: Scope,
}

/// A module.
#[derive(Debug, Default)]
pub(crate) struct Module {
    /// The assignments of the module itself.
    pub scope: Scope,
    /// The classes of the module itself.
    pub classes: Vec<Class>,
}

impl Module {
    /// Reads a source file. Other values are [`Value::Unknown`].
    ///
    /// # Errors
    /// Bytes that are no text in the file's encoding.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, &'static str> {
        let mut module = Self::default();
        let mut blocks: Vec<(usize, Block)> = Vec::new();
        for Line { indent, tokens } in lines(&decode(bytes)?) {
            while blocks.last().is_some_and(|(of, _)| *of >= indent) {
                blocks.pop();
            }
            module.line(indent, &tokens, &mut blocks);
        }
        Ok(module)
    }

    fn line(&mut self, indent: usize, tokens: &[Token], blocks: &mut Vec<(usize, Block)>) {
        let (block, body) = match header(tokens) {
            Some((header, body)) => (Some(header), body),
            None => (None, tokens),
        };
        if let Some(header) = block {
            if let Some((scope, _)) = self.scope_of(blocks) {
                bind_header(header, scope);
            }
            let kind = match header.first() {
                Some(Token::Name(word)) if word == "class" && self.scope_of(blocks).is_some() => {
                    let is_top = !blocks.iter().any(|(_, block)| *block != Block::Plain);
                    if is_top {
                        self.classes.push(class(header));
                        Block::Class(self.classes.len() - 1)
                    } else {
                        Block::Opaque
                    }
                }
                Some(Token::Name(word)) if ["class", "def", "async"].contains(&word.as_str()) => {
                    Block::Opaque
                }
                _ => Block::Plain,
            };
            blocks.push((indent, kind));
        }
        for statement in split(body, ";") {
            if let Some((scope, outer)) = self.scope_of(blocks) {
                assign(statement, scope, outer);
            }
        }
    }

    /// The scope that a statement in these blocks belongs to, and the one around it. `None` if the
    /// statement belongs to a function, or to a class in another class.
    fn scope_of(&mut self, blocks: &[(usize, Block)]) -> Option<(&mut Scope, Option<&Scope>)> {
        match blocks.iter().map(|(_, block)| block).rfind(|block| **block != Block::Plain) {
            None => Some((&mut self.scope, None)),
            Some(Block::Class(place)) => {
                let Self { scope, classes } = self;
                Some((&mut classes[*place].scope, Some(scope)))
            }
            Some(_) => None,
        }
    }
}

/// The statement that an indented block belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    /// `if`, `try` and others, which have no scope of their own.
    Plain,
    /// A class of the module, by its place.
    Class(usize),
    /// A function, or a block inside of a class.
    Opaque,
}

/// The header of a compound statement, and what follows its colon on the same line.
fn header(tokens: &[Token]) -> Option<(&[Token], &[Token])> {
    const KEYWORDS: [&str; 14] = [
        "class", "def", "async", "if", "elif", "else", "for", "while", "try", "except", "finally",
        "with", "match", "case",
    ];
    let Some(Token::Name(first)) = tokens.first() else { return None };
    if !KEYWORDS.contains(&first.as_str()) {
        return None;
    }
    let mut depth = 0_usize;
    let mut lambdas = 0_usize;
    for (place, token) in tokens.iter().enumerate() {
        match token {
            Token::Name(word) if word == "lambda" && depth == 0 => lambdas += 1,
            token if is_opening(token) => depth += 1,
            token if is_closing(token) => depth = depth.saturating_sub(1),
            token if token.is(":") && depth == 0 && lambdas > 0 => lambdas -= 1,
            token if token.is(":") && depth == 0 => {
                return Some((&tokens[..place], &tokens[place + 1..]));
            }
            _ => {}
        }
    }
    // `match = 1` and `case = 2` are plain assignments.
    None
}

/// `class NAME(BASE, module.BASE)`.
fn class(header: &[Token]) -> Class {
    let name = match header.get(1) {
        Some(Token::Name(name)) => name.clone(),
        _ => String::new(),
    };
    let arguments = header.iter().position(|token| token.is("(")).map_or(0, |place| place + 1);
    let last_name = |part: &[Token]| match part.iter().rfind(|token| !token.is(")")) {
        Some(Token::Name(base)) => Some(base.clone()),
        _ => None,
    };
    let bases = if arguments == 0 { Vec::new() } else { split(&header[arguments..], ",") };
    Class { name, bases: bases.into_iter().filter_map(last_name).collect(), scope: Scope::new() }
}

fn is_opening(token: &Token) -> bool {
    ["(", "[", "{"].iter().any(|bracket| token.is(bracket))
}

fn is_closing(token: &Token) -> bool {
    [")", "]", "}"].iter().any(|bracket| token.is(bracket))
}

/// The parts between separators outside of brackets.
fn split<'a>(tokens: &'a [Token], separator: &str) -> Vec<&'a [Token]> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0_usize);
    for (place, token) in tokens.iter().enumerate() {
        if is_opening(token) {
            depth += 1;
        } else if is_closing(token) {
            depth = depth.saturating_sub(1);
        } else if depth == 0 && token.is(separator) {
            parts.push(&tokens[start..place]);
            start = place + 1;
        }
    }
    parts.push(&tokens[start..]);
    parts
}

/// Binds the names of `def NAME` and `for NAME in` to values that only Python can compute.
fn bind_header(header: &[Token], scope: &mut Scope) {
    let bound = match header {
        [first, rest @ ..] if first.is_name("for") => {
            let end = rest.iter().position(|token| token.is_name("in")).unwrap_or(0);
            &rest[..end]
        }
        [first, name, ..] if first.is_name("def") => std::slice::from_ref(name),
        _ => return,
    };
    for token in bound {
        if let Token::Name(name) = token {
            scope.insert(name.clone(), Value::Unknown);
        }
    }
}

/// Binds the names of `import a.b`, `import a as b` and `from a import (b, c as d)`.
fn bind_imports(statement: &[Token], scope: &mut Scope) {
    let Some(import) = statement.iter().position(|token| token.is_name("import")) else { return };
    let is_from = import > 0;
    let imported = match &statement[import + 1..] {
        [open, inner @ .., close] if is_opening(open) && is_closing(close) => inner,
        other => other,
    };
    for part in split(imported, ",") {
        let renamed = part.iter().any(|token| token.is_name("as"));
        let bound = if renamed || is_from { part.last() } else { part.first() };
        if let Some(Token::Name(name)) = bound {
            scope.insert(name.clone(), Value::Imported);
        }
    }
}

/// The names that an expression sees.
#[derive(Clone, Copy)]
struct Names<'a> {
    own: &'a Scope,
    /// The module's, in the body of a class.
    outer: Option<&'a Scope>,
}

impl Names<'_> {
    fn value(self, name: &str) -> Value {
        let outer = || self.outer.and_then(|outer| outer.get(name));
        self.own.get(name).or_else(outer).cloned().unwrap_or(Value::Unknown)
    }
}

/// `a = b = VALUE`, `a: TYPE = VALUE`, `a, b = VALUES`, `a += VALUE`, `del a`, imports.
fn assign(statement: &[Token], scope: &mut Scope, outer: Option<&Scope>) {
    if statement.first().is_some_and(|word| word.is_name("import") || word.is_name("from")) {
        bind_imports(statement, scope);
        return;
    }
    if let [Token::Name(del), Token::Name(name)] = statement
        && del == "del"
    {
        scope.remove(name);
        return;
    }
    if let [Token::Name(name), operator, value @ ..] = statement
        && operator.is("+=")
    {
        let names = Names { own: scope, outer };
        let after = add(names.value(name), evaluate(value, names));
        scope.insert(name.clone(), after);
        return;
    }
    let mut parts = split(statement, "=");
    let Some(value) = parts.pop().filter(|_| !parts.is_empty()) else { return };
    let value = evaluate(value, Names { own: scope, outer });
    for target in parts {
        bind(target, &value, scope);
    }
}

fn bind(target: &[Token], value: &Value, scope: &mut Scope) {
    let target = split(target, ":").first().copied().unwrap_or_default();
    let names = split(target, ",");
    if let [[Token::Name(name)]] = names.as_slice() {
        scope.insert(name.clone(), value.clone());
        return;
    }
    let inner = match target {
        [open, inner @ .., close] if is_opening(open) && is_closing(close) => inner,
        other => other,
    };
    let names: Vec<_> = split(inner, ",").into_iter().filter(|name| !name.is_empty()).collect();
    for (place, name) in names.iter().enumerate() {
        if let [Token::Name(name)] = name {
            let part = match value {
                Value::List(list) if list.len() == names.len() => list[place].clone(),
                _ => Value::Unknown,
            };
            scope.insert(name.clone(), part);
        }
    }
}

/// Brackets within brackets, as deep as they are read. No migration has more, and each costs stack.
const MAX_DEPTH: usize = 40;

/// The value of an expression.
fn evaluate(tokens: &[Token], names: Names<'_>) -> Value {
    let parts = split(tokens, ",");
    match parts.as_slice() {
        [only] => sum(only, names, 0),
        parts => list(parts, names, 0),
    }
}

fn list(parts: &[&[Token]], names: Names<'_>, depth: usize) -> Value {
    let parts = match parts {
        [parts @ .., []] => parts,
        parts => parts,
    };
    Value::List(parts.iter().map(|part| sum(part, names, depth)).collect())
}

fn sum(tokens: &[Token], names: Names<'_>, depth: usize) -> Value {
    let values = split(tokens, "+").into_iter().map(|part| atom(part, names, depth));
    values.reduce(add).unwrap_or(Value::Unknown)
}

fn add(a: Value, b: Value) -> Value {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => Value::Text(a + &b),
        (Value::List(a), Value::List(b)) => Value::List(a.into_iter().chain(b).collect()),
        _ => Value::Unknown,
    }
}

fn atom(tokens: &[Token], names: Names<'_>, depth: usize) -> Value {
    match tokens {
        [Token::Name(name)] => match name.as_str() {
            "None" => Value::Nothing,
            "True" => Value::Flag(true),
            "False" => Value::Flag(false),
            name => names.value(name),
        },
        [Token::Text(_), ..] => tokens
            .iter()
            .map(|token| match token {
                Token::Text(Some(text)) => Some(text.as_str()),
                _ => None,
            })
            .collect::<Option<String>>()
            .map_or(Value::Unknown, Value::Text),
        [open, inner @ .., close] if is_opening(open) && is_closing(close) && depth < MAX_DEPTH => {
            bracketed(open, inner, names, depth + 1)
        }
        _ => Value::Unknown,
    }
}

fn bracketed(open: &Token, inner: &[Token], names: Names<'_>, depth: usize) -> Value {
    let parts = split(inner, ",");
    // A comprehension, a dictionary, or two bracketed expressions side by side.
    let is_computed = |part: &&[Token]| {
        part.iter().any(|token| token.is_name("for")) || split(part, ":").len() > 1
    };
    match parts.as_slice() {
        parts if parts.iter().any(is_computed) => Value::Unknown,
        [[]] if open.is("{") => Value::Unknown,
        [[]] => Value::List(Vec::new()),
        [only] if open.is("(") => sum(only, names, depth),
        parts => list(parts, names, depth),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(text: &str, name: &str) -> Option<Vec<String>> {
        Module::read(text.as_bytes()).unwrap().scope.get(name).and_then(Value::strings)
    }

    #[test]
    fn assignments_are_read_in_all_their_forms() {
        let some = |values: &[&str]| {
            Some(values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>())
        };
        for (text, want) in [
            ("r = 'a1'\n", some(&["a1"])),
            ("r = u'a1'", some(&["a1"])),
            ("r = r\"\"\"a1\"\"\"", some(&["a1"])),
            ("r = 'a' \\\n    'b'", some(&["ab"])),
            ("r = ('a' 'b')", some(&["ab"])),
            ("r = ('a',)", some(&["a"])),
            ("r = 'a', 'b'", some(&["a", "b"])),
            ("r = 'a',", some(&["a"])),
            ("x = 1; r = 'a'; y = 2", some(&["a"])),
            ("x, r = 'a', 'b'", some(&["b"])),
            ("(x, r) = ['a', 'b']", some(&["b"])),
            ("x = r = 'a'", some(&["a"])),
            ("x = 'a'\nr = x", some(&["a"])),
            ("r = 'a'\nr = 'b'", some(&["b"])),
            ("r = ['a']\nr += ['b']", some(&["a", "b"])),
            ("r = ['a'] + ['b']", some(&["a", "b"])),
            ("\"\"\"x\nr = 'no'\n\"\"\"\nr: str = \"a1\"\n", some(&["a1"])),
            ("s = '''\nr = 'no'\n'''\nr = 'a'", some(&["a"])),
            ("r: Union[str, Sequence[str], None] = None\n", some(&[])),
            ("r = ('a', \"b\")  # both\n", some(&["a", "b"])),
            ("r = (\n    'a',  # 'not this'\n    'b',\n)\n", some(&["a", "b"])),
            ("r = []", some(&[])),
            ("r = ()", some(&[])),
            ("r = {'a', 'b'}", some(&["a", "b"])),
            ("if x:\n    r = 'a'\n", some(&["a"])),
            ("try: r = 'a'\nexcept E: pass", some(&["a"])),
            ("r = 'a'\ndef f():\n    r = 'b'\n", some(&["a"])),
            ("r = 'a'\nclass C:\n    r = 'b'\n", some(&["a"])),
            ("match = 'x'\nr = 'a'", some(&["a"])),
            ("r = compute()\n", None),
            ("r = 'a'.lower()", None),
            ("r = f'{x}'", None),
            ("r = b'a'", None),
            ("r = {}", None),
            ("r = [x for x in ['a']]", None),
            ("r == 'a'\n", None),
            ("r.x = 'a'", None),
            ("if r:\n  pass\n", None),
            ("r = 'a", None),
            ("r = 'a'\ndel r", None),
            ("from x import r", None),
            ("r = 'a'\nfrom x import (\n    q,\n    y as r,\n)", None),
            ("r = 'a'\nimport x.y as r", None),
            ("r = 'a'\nimport x.r, q", some(&["a"])),
            ("r = 'a'\nfor q, r in z:\n    pass", None),
            ("r = 'a'\ndef r():\n    pass", None),
            ("r = 'a'\nfrom r import q", some(&["a"])),
            ("", None),
        ] {
            assert_eq!(strings(text, "r"), want, "{text}");
        }
    }

    #[test]
    fn brackets_within_brackets_have_an_end() {
        let text = format!("r = {}'a'{}", "(".repeat(200_000), ")".repeat(200_000));
        assert_eq!(strings(&text, "r"), None);
        assert_eq!(strings(&"f'{f\"{".repeat(100_000), "r"), None);
    }

    #[test]
    fn classes_are_read_with_their_bodies() {
        let text = "import x\n\nclass Migration(migrations.Migration):\n    '''doc'''\n\
            \x20   replaces = [('s', '1'), ('s', '2')]\n    def f(self):\n        replaces = []\n\
            \x20   class Meta:\n        replaces = []\n\nif y:\n    class B(A, metaclass=M): label \
            = 'b'\n\
            def g():\n    class Hidden: pass\n";
        let module = Module::read(text.as_bytes()).unwrap();
        let names: Vec<_> = module.classes.iter().map(|class| class.name.as_str()).collect();
        assert_eq!(names, ["Migration", "B"]);
        assert_eq!(module.classes[0].bases, ["Migration"]);
        let pair =
            |n: &str| Value::List(vec![Value::Text("s".to_owned()), Value::Text(n.to_owned())]);
        assert_eq!(module.classes[0].scope["replaces"], Value::List(vec![pair("1"), pair("2")]));
        assert_eq!(module.classes[1].scope["label"], Value::Text("b".to_owned()));
        let module = Module::read(b"R = ['a']\nclass C:\n    r = R + ['b']\n").unwrap();
        let list = module.classes[0].scope["r"].strings().unwrap();
        assert_eq!(list, ["a", "b"], "a class sees the module's names");
    }
}
