//! The TOML file: the declarations and options of the command line. Each error names its line.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    cli::args::{Definition, OptionValue, Source, definition, definitions},
    kinds,
    os::read_text,
    sort::sort_by_key,
    spec::{
        ConfigError, Declaration, Declared, KeyValue, Kind, Mistakes,
        declaration::{expand_url, is_name},
        expand::{Env, Text},
    },
    text::nearest,
    wait::settings::{COMMON, unknown_key},
};

/// The content of a file.
#[derive(Default)]
pub struct Config {
    /// Its `[dependency.NAME]` tables, in order.
    pub declared: Declared,
    /// The options at its top, not yet checked.
    pub values: Vec<OptionValue>,
}

/// The largest accepted file, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// Reads the file at `path`. Each error goes into `mistakes` with path and line, and never holds a
/// value.
pub fn read(path: &str, env: &Env, mistakes: &mut Mistakes) -> Config {
    let text = read_text(path, MAX_FILE).map_err(|message| ConfigError::at(path, message));
    let mut config = Config::default();
    if let Some(text) = mistakes.keep(text) {
        File { path, text: &text, env }.read(&mut config, mistakes);
    }
    config
}

struct File<'a> {
    path: &'a str,
    text: &'a str,
    env: &'a Env,
}

type Value<'a> = Spanned<DeValue<'a>>;

impl File<'_> {
    fn read(&self, config: &mut Config, mistakes: &mut Mistakes) {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            mistakes.push(self.error(error.span(), error.message()));
        }
        // After a syntax error the parser may misread the rest.
        if !errors.is_empty() {
            return;
        }
        for (name, span, value) in in_order(table.get_ref()) {
            match (value.get_ref(), definition(name).filter(Definition::is_in_file)) {
                (DeValue::Table(dependencies), _) if name == DEPENDENCY => {
                    for (name, span, value) in in_order(dependencies) {
                        let read = self.dependency(name, span, value, mistakes);
                        config.declared.add(Some(name), read, mistakes);
                    }
                }
                (_, Some(definition)) => {
                    let place = format!("{}: {name}", self.place(value.span()));
                    let key = mistakes.keep(self.key(name, value, None));
                    config.values.extend(key.map(|value| OptionValue {
                        opt: definition.opt,
                        source: Source::File,
                        value,
                        place,
                    }));
                }
                _ => mistakes.push(self.error(Some(span), unknown_option(name))),
            }
        }
    }

    /// Reads one dependency. Returns its last error; the errors before go into `mistakes`.
    fn dependency(
        &self,
        name: &str,
        span: Range<usize>,
        value: &Value,
        mistakes: &mut Mistakes,
    ) -> Result<Declaration, ConfigError> {
        let DeValue::Table(table) = value.get_ref() else {
            let message = "a dependency must be a table, e.g. [dependency.db]";
            return Err(self.key_error(name, span, message));
        };
        if !is_name(name) {
            let message = "a dependency's name must be made of letters, digits, _ . and -";
            return Err(self.error(Some(span), message));
        }
        let Some(url) = table.get("url") else {
            let near =
                in_order(table).into_iter().find(|(key, ..)| nearest(key, ["url"]).is_some());
            return Err(match near {
                Some((key, span, _)) => {
                    self.error(Some(span), format_args!("unknown key {key}, did you mean url?"))
                }
                None => self.key_error(name, span, "must have a url"),
            });
        };
        let DeValue::String(text) = url.get_ref() else {
            return Err(self.key_error("url", url.span(), "must be a string"));
        };
        let at = |message: String| self.key_error("url", url.span(), message);
        let text = expand_url(text, self.env).map_err(at)?;
        let place = format!("{}: url", self.place(url.span()));
        let before_keys = text.split_once('#').map_or_else(|| text.clone(), |(url, _)| url);
        let mut declaration =
            Declaration::from_url(&place, Some(name.to_owned()), &before_keys, self.env)
                .map_err(at)?;
        let kind = kinds::find(&declaration.scheme, declaration.rest.raw()).map_err(at)?;
        if text.raw().contains('#') {
            return Err(at(format!("keys must stand on lines of their own here{}", hash_in(kind))));
        }
        for (key, span, value) in in_order(table).into_iter().filter(|(key, ..)| *key != "url") {
            if !is_known(kind, key) {
                let error = self.error(Some(span), unknown_key(kind, key));
                mistakes.push(error.with_dependency(name));
                continue;
            }
            let values = match value.get_ref() {
                // Any other array is the list of one key.
                DeValue::Array(items) if kind.repeats.contains(&key) => items.iter().collect(),
                _ => vec![value],
            };
            for value in values {
                let read = self.key(key, value, Some(&mut declaration));
                let read = read.map_err(|error| error.with_dependency(name));
                declaration.keys.extend(mistakes.keep(read));
            }
        }
        Ok(declaration)
    }

    /// Reads the value of a key. Text is expanded and not split; an array is a list.
    fn key(
        &self,
        name: &str,
        value: &Value,
        mut declaration: Option<&mut Declaration>,
    ) -> Result<KeyValue, ConfigError> {
        let at = Some(self.place(value.span()));
        let mut items = Vec::new();
        let values = match value.get_ref() {
            DeValue::Array(items) => items.iter().collect(),
            _ => vec![value],
        };
        for value in values {
            let text = self.scalar(name, value)?;
            if let Some(declaration) = declaration.as_deref_mut() {
                declaration.add_expansions(&text);
            }
            items.push(text.expanded());
        }
        Ok(KeyValue { name: name.to_owned(), value: items.join("+"), items, at })
    }

    fn scalar(&self, name: &str, value: &Value) -> Result<Text, ConfigError> {
        let text = match value.get_ref() {
            DeValue::String(text) => {
                return Text::expand(text, self.env)
                    .map_err(|message| self.key_error(name, value.span(), message));
            }
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().to_owned(),
            DeValue::Float(number) => number.as_str().to_owned(),
            DeValue::Boolean(flag) => flag.to_string(),
            _ => {
                let message = "must be text, a number, true or false, or a list of them";
                return Err(self.key_error(name, value.span(), message));
            }
        };
        Ok(Text::literal(&text))
    }

    fn place(&self, span: Range<usize>) -> String {
        let before = self.text.get(..span.start).unwrap_or_default();
        format!("{}:{}", self.path, before.matches('\n').count() + 1)
    }

    fn error(&self, span: Option<Range<usize>>, message: impl std::fmt::Display) -> ConfigError {
        let place = span.map_or_else(|| self.path.to_owned(), |span| self.place(span));
        ConfigError::at(place, message)
    }

    fn key_error(
        &self,
        name: &str,
        span: Range<usize>,
        message: impl std::fmt::Display,
    ) -> ConfigError {
        self.error(Some(span), format_args!("{name}: {message}"))
    }
}

/// Returns a table's entries in the order of the file.
fn in_order<'a>(table: &'a DeTable<'a>) -> Vec<(&'a str, Range<usize>, &'a Value<'a>)> {
    let mut entries: Vec<_> =
        table.iter().map(|(name, value)| (name.get_ref().as_ref(), name.span(), value)).collect();
    sort_by_key(&mut entries, |(_, span, _)| span.start);
    entries
}

/// The table that holds the dependencies.
const DEPENDENCY: &str = "dependency";

fn is_known(kind: &Kind, key: &str) -> bool {
    COMMON.iter().any(|common| common.key.name == key) || kind.own_keys().any(|own| own.name == key)
}

/// The way to write a literal `#` in a URL.
fn hash_in(kind: &Kind) -> &'static str {
    if kind.grammar.has_servers() {
        "; a # in a URL must be written %23"
    } else {
        "; a # in a path or command must come from a variable, e.g. ${NAME}"
    }
}

fn unknown_option(name: &str) -> String {
    let known = || definitions().filter(Definition::is_in_file).map(|known| known.name);
    match nearest(name, known().chain([DEPENDENCY])) {
        // `[[dependency]]` is a list.
        Some(DEPENDENCY) if name == DEPENDENCY => {
            "each dependency must be a table with a name, e.g. [dependency.db]".to_owned()
        }
        Some(near) => format!("unknown key {name}, did you mean {near}?"),
        None => format!(
            "unknown key {name}; the top of the file takes [dependency.NAME] tables, {}",
            known().collect::<Vec<_>>().join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{plan, wait::settings::Settings};

    fn env() -> Env {
        Env::new(|name| (name == "URL").then(|| "postgres://app:s%40crt@db/app".into()))
    }

    fn config(text: &str) -> Result<Config, String> {
        let (mut config, mut mistakes) = (Config::default(), Mistakes::default());
        File { path: "f.toml", text, env: &env() }.read(&mut config, &mut mistakes);
        mistakes.check().map_err(|errors| errors.to_string())?;
        Ok(config)
    }

    #[cfg(all(feature = "postgres", feature = "http"))]
    #[test]
    fn a_file_declares_what_the_command_line_would() {
        let text = r#"
            timeout = "90s"
            attempt-timeout = 2.5
            fail-fast = ["auth", "tls"]
            deadline = "5m"

            [dependency.web]
            url = "http://api/ready"
            timeout = 30
            header = ["A: 1+1", "B: 100%"]

            [dependency.db]
            url = "${URL}"
            after = ["web"]
        "#;
        let config = config(text).unwrap();
        let values: Vec<_> = config
            .values
            .iter()
            .map(|value| (value.place.as_str(), value.value.value.as_str()))
            .collect();
        assert_eq!(
            values,
            [
                ("f.toml:2: timeout", "90s"),
                ("f.toml:3: attempt-timeout", "2.5"),
                ("f.toml:4: fail-fast", "auth+tls"),
                ("f.toml:5: deadline", "5m"),
            ]
        );
        let declarations = &config.declared.declarations;
        let names: Vec<_> =
            declarations.iter().map(|d| (d.name.clone().unwrap(), d.scheme.as_str())).collect();
        assert_eq!(names, [("web".to_owned(), "http"), ("db".to_owned(), "postgres")]);
        let keys: Vec<_> =
            declarations[0].keys.iter().map(|k| (k.name.as_str(), k.value.as_str())).collect();
        assert_eq!(keys, [("timeout", "30"), ("header", "A: 1+1"), ("header", "B: 100%")]);
        assert_eq!(declarations[1].keys[0].items, ["web"]);
    }

    #[test]
    fn every_mistake_has_its_line() {
        let text = "tiemout = 1\n[dependency.a]\nurl = 'x'\n[dependency.b]\nurl = 'tcp://b:1'\n\
            mach = 1\ntimeout = {}";
        let errors = config(text).err().unwrap();
        for (line, want) in errors.lines().zip([
            "f.toml:1: unknown key tiemout, did you mean timeout?",
            "f.toml:3: url: x lacks its port",
            "f.toml:6: unknown key mach",
            "f.toml:7: timeout: must be text",
        ]) {
            assert!(line.starts_with(want), "{line}");
        }
        assert_eq!(errors.lines().count(), 4, "{errors}");
    }

    #[test]
    fn a_mistake_is_told_without_its_value() {
        for (text, want) in [
            ("timeout = ", "f.toml:1: "),
            ("\ntiemout = 3", "f.toml:2: unknown key tiemout, did you mean timeout?"),
            ("after = ['x']", "f.toml:1: unknown key after"),
            ("[dependency.a]\n", "f.toml:1: a: must have a url"),
            ("[dependency.a]\nuri = 'tcp://x:1'", "f.toml:2: unknown key uri, did you mean url?"),
            ("[dependencies.a]\n", "f.toml:1: unknown key dependencies, did you mean dependency?"),
            (
                "[[dependency]]\nurl = 'tcp://x:1'",
                "f.toml:1: each dependency must be a table with a name, e.g. [dependency.db]",
            ),
            (
                "[dependency]\na = 3",
                "f.toml:2: a: a dependency must be a table, e.g. [dependency.db]",
            ),
            (
                "[dependency.a]\nurl = 'tcp://x:1#timeout=3'",
                "f.toml:2: url: keys must stand on lines of their own here",
            ),
            ("[dependency.a]\nurl = '${NONE}'", "f.toml:2: url: the variable NONE is not set"),
            ("[dependency.a]\nurl = 'tcp://x:1'\n\nmach = 'x'", "f.toml:4: unknown key mach"),
            ("[dependency.a]\nurl = 'tcp://x:1'\ntimeout = {}", "f.toml:3: timeout: must be text"),
            ("[dependency.a]\nurl = 'tcp://x:1'\n[dependency.a]\nurl = 'x'", "f.toml:3: "),
        ] {
            let error = config(text).err().unwrap_or_else(|| panic!("{text}"));
            assert!(error.starts_with(want) && !error.contains("SECRET"), "{text}: {error}");
        }
        // Errors of the kind's grammar have a line too.
        let config = config("[dependency.a]\nurl = 'tcp://x:SECRET'").unwrap();
        let mut mistakes = Mistakes::default();
        plan::plan(config.declared, &Settings::default(), &env(), &mut mistakes);
        let error = mistakes.check().unwrap_err().to_string();
        assert!(error.starts_with("f.toml:2: url: the port must be a number"), "{error}");
    }
}
