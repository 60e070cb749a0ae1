//! The TOML file: the same declarations and options that the command line gives, with the line of everything that is wrong.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    cli::given::{Given, Source},
    kinds,
    os::read_bytes,
    spec::{
        ConfigError, Declaration, KeyValue, Kind,
        declaration::{expand_url, is_name},
        expand::{Env, Text},
    },
    text::nearest,
    wait::settings::{COMMON, Settings, unknown_key},
};

/// What a file says.
#[derive(Default)]
pub struct Config {
    /// Its `[dependency.NAME]` tables, in order.
    pub declarations: Vec<Declaration>,
    /// The options that are no key of a dependency (`deadline`, `format`, ...), not yet checked.
    pub options: Vec<Given>,
}

/// The options that only the top of a file, the command line and the environment know.
pub const OPTIONS: [&str; 5] = ["deadline", "allow-empty", "format", "quiet", "verbose"];

/// The largest file that is read, in bytes.
const MOST: u64 = 1024 * 1024;

/// Reads the file at `path`; the defaults that it sets go into `defaults`.
///
/// # Errors
/// What is wrong, with path and line, and never with a value.
pub fn read(path: &str, defaults: &mut Settings, env: &Env) -> Result<Config, ConfigError> {
    let bytes = read_bytes(path, MOST).map_err(|what| ConfigError::at(path, what))?;
    let text = String::from_utf8(bytes).map_err(|_| ConfigError::at(path, "not UTF-8"))?;
    File { path, text: &text, env }.read(defaults)
}

struct File<'a> {
    path: &'a str,
    text: &'a str,
    env: &'a Env,
}

type Value<'a> = Spanned<DeValue<'a>>;

impl File<'_> {
    fn read(&self, defaults: &mut Settings) -> Result<Config, ConfigError> {
        let table = DeTable::parse(self.text).map_err(|e| self.error(e.span(), e.message()))?;
        let mut config = Config::default();
        for (name, span, value) in in_order(table.get_ref()) {
            match value.get_ref() {
                DeValue::Table(dependencies) if name == "dependency" => {
                    for (name, span, value) in in_order(dependencies) {
                        config.declarations.push(self.dependency(name, span, value)?);
                    }
                }
                _ if OPTIONS.contains(&name) => config.options.push(self.option(name, value)?),
                _ => {
                    let known = defaults
                        .apply(&self.key(name, value)?)
                        .map_err(|what| self.key_error(name, value.span(), what))?;
                    if !known || name == "after" {
                        return Err(self.error(Some(span), unknown_option(name)));
                    }
                }
            }
        }
        defaults.check().map_err(|what| ConfigError::at(self.path, what))?;
        Ok(config)
    }

    fn option(&self, name: &str, value: &Value) -> Result<Given, ConfigError> {
        let place = format!("{}: {name}", self.place(value.span()));
        Ok(Given {
            source: Source::File,
            name: name.to_owned(),
            value: self.key(name, value)?.value,
            place,
        })
    }

    fn dependency(
        &self,
        name: &str,
        span: Range<usize>,
        value: &Value,
    ) -> Result<Declaration, ConfigError> {
        let DeValue::Table(table) = value.get_ref() else {
            return Err(self.key_error(
                name,
                span,
                "a dependency is a table, e.g. [dependency.db]",
            ));
        };
        if !is_name(name) {
            return Err(
                self.error(Some(span), "a dependency's name is made of letters, digits, _ . and -")
            );
        }
        let Some(url) = table.get("url") else {
            return Err(self.key_error(name, span, "has no url"));
        };
        let DeValue::String(text) = url.get_ref() else {
            return Err(self.key_error("url", url.span(), "is not a string"));
        };
        let at = |what: String| self.key_error("url", url.span(), what);
        let text = expand_url(text, self.env).map_err(at)?;
        let place = format!("{}: url", self.place(url.span()));
        if text.raw().contains('#') {
            return Err(at(
                "keys stand on lines of their own here, and a # in a URL is written %23".to_owned(),
            ));
        }
        let mut declaration =
            Declaration::from_url(&place, Some(name.to_owned()), &text).map_err(at)?;
        let kind = kinds::find(&declaration.scheme, declaration.rest.raw()).map_err(at)?;
        let mut keys = Vec::new();
        let mut own = Vec::new();
        for (key, span, value) in in_order(table).into_iter().filter(|(key, ..)| *key != "url") {
            own.push((key.to_owned(), span));
            match value.get_ref() {
                // Every other array is one list.
                DeValue::Array(items) if kind.repeats.contains(&key) => {
                    for item in items {
                        keys.push(self.key(key, item)?);
                    }
                }
                _ => keys.push(self.key(key, value)?),
            }
        }
        self.check_known(kind, own)?;
        declaration.keys = keys;
        Ok(declaration)
    }

    /// Unknown keys are found here, where their line is known.
    fn check_known(
        &self,
        kind: &Kind,
        keys: Vec<(String, Range<usize>)>,
    ) -> Result<(), ConfigError> {
        let is_known = |name: &str| {
            COMMON.iter().any(|common| common.key.name == name)
                || kind.own_keys().any(|own| own.name == name)
        };
        match keys.into_iter().find(|(name, _)| !is_known(name)) {
            Some((name, span)) => Err(self.error(Some(span), unknown_key(kind, &name))),
            None => Ok(()),
        }
    }

    /// A value as a key's: text is expanded and taken whole, an array is a list.
    fn key(&self, name: &str, value: &Value) -> Result<KeyValue, ConfigError> {
        let at = Some(self.place(value.span()));
        let items = match value.get_ref() {
            DeValue::Array(items) => {
                items.iter().map(|item| self.scalar(name, item)).collect::<Result<_, _>>()?
            }
            _ => vec![self.scalar(name, value)?],
        };
        Ok(KeyValue { name: name.to_owned(), value: items.join("+"), items, at })
    }

    fn scalar(&self, name: &str, value: &Value) -> Result<String, ConfigError> {
        match value.get_ref() {
            DeValue::String(text) => {
                let text = Text::expand(text, self.env)
                    .map_err(|what| self.key_error(name, value.span(), what))?;
                Ok(text.expanded())
            }
            DeValue::Integer(number) if number.radix() == 10 => Ok(number.as_str().to_owned()),
            DeValue::Float(number) => Ok(number.as_str().to_owned()),
            DeValue::Boolean(flag) => Ok(flag.to_string()),
            _ => Err(self.key_error(
                name,
                value.span(),
                "is neither text, a number, true or false, nor a list of them",
            )),
        }
    }

    fn place(&self, span: Range<usize>) -> String {
        let before = self.text.get(..span.start).unwrap_or_default();
        format!("{}:{}", self.path, before.matches('\n').count() + 1)
    }

    fn error(&self, span: Option<Range<usize>>, what: impl std::fmt::Display) -> ConfigError {
        let place = span.map_or_else(|| self.path.to_owned(), |span| self.place(span));
        ConfigError::at(place, what)
    }

    fn key_error(
        &self,
        name: &str,
        span: Range<usize>,
        what: impl std::fmt::Display,
    ) -> ConfigError {
        self.error(Some(span), format_args!("{name}: {what}"))
    }
}

/// A table's entries as they stand in the file.
fn in_order<'a>(table: &'a DeTable<'a>) -> Vec<(&'a str, Range<usize>, &'a Value<'a>)> {
    let mut entries: Vec<_> =
        table.iter().map(|(name, value)| (name.get_ref().as_ref(), name.span(), value)).collect();
    entries.sort_by_key(|(_, span, _)| span.start);
    entries
}

fn unknown_option(name: &str) -> String {
    let known = || {
        COMMON.iter().map(|common| common.key.name).chain(OPTIONS).filter(|name| *name != "after")
    };
    match nearest(name, known().chain(["dependency"])) {
        Some(near) => format!("unknown key {name}, did you mean {near}?"),
        None => format!(
            "unknown key {name}; here stand [dependency.NAME] tables, {}",
            known().collect::<Vec<_>>().join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan;

    fn config(text: &str) -> Result<(Config, Settings), String> {
        let env = Env::new(|name| (name == "URL").then(|| "postgres://app:s%40crt@db/app".into()));
        let mut defaults = Settings::default();
        let config = File { path: "f.toml", text, env: &env }
            .read(&mut defaults)
            .map_err(|e| e.to_string())?;
        Ok((config, defaults))
    }

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
        let (config, defaults) = config(text).unwrap();
        assert_eq!(defaults.attempt_timeout.as_millis(), 2500);
        assert_eq!(defaults.fail_fast.len(), 2);
        assert_eq!(
            config.options,
            [Given {
                source: Source::File,
                name: "deadline".to_owned(),
                value: "5m".to_owned(),
                place: "f.toml:5: deadline".to_owned(),
            }]
        );
        let names: Vec<_> = config
            .declarations
            .iter()
            .map(|d| (d.name.clone().unwrap(), d.scheme.as_str()))
            .collect();
        assert_eq!(names, [("web".to_owned(), "http"), ("db".to_owned(), "postgres")]);
        let keys: Vec<_> = config.declarations[0]
            .keys
            .iter()
            .map(|k| (k.name.as_str(), k.value.as_str()))
            .collect();
        assert_eq!(keys, [("timeout", "30"), ("header", "A: 1+1"), ("header", "B: 100%")]);
        assert_eq!(config.declarations[1].keys[0].items, ["web"]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_without_its_value() {
        for (text, want) in [
            ("timeout = ", "f.toml:1: "),
            ("\ntiemout = 3", "f.toml:2: unknown key tiemout, did you mean timeout?"),
            ("after = ['x']", "f.toml:1: unknown key after"),
            ("timeout = 'SECRET'", "f.toml:1: timeout: not a duration (e.g. 30s, 2m, 0 or never)"),
            ("[dependency.a]\n", "f.toml:1: a: has no url"),
            ("[dependency]\na = 3", "f.toml:2: a: a dependency is a table, e.g. [dependency.db]"),
            (
                "[dependency.a]\nurl = 'tcp://x:1#timeout=3'",
                "f.toml:2: url: keys stand on lines of their own here",
            ),
            ("[dependency.a]\nurl = '${NONE}'", "f.toml:2: url: the variable NONE is not set"),
            ("[dependency.a]\nurl = 'tcp://x:1'\n\nmach = 'x'", "f.toml:4: unknown key mach"),
            (
                "[dependency.a]\nurl = 'tcp://x:1'\ntimeout = {}",
                "f.toml:3: timeout: is neither text",
            ),
            ("[dependency.a]\nurl = 'tcp://x:1'\n[dependency.a]\nurl = 'x'", "f.toml:3: "),
        ] {
            let error = config(text).err().unwrap_or_else(|| panic!("{text}"));
            assert!(error.starts_with(want) && !error.contains("SECRET"), "{text}: {error}");
        }
        // What the kind's grammar finds has its line too.
        let (config, defaults) = config("[dependency.a]\nurl = 'tcp://x:SECRET'").unwrap();
        let error = plan::plan(config.declarations, &defaults, &Env::new(|_| None)).err().unwrap();
        let want = "f.toml:2: url: the port is not a number";
        assert!(error.to_string().starts_with(want), "{error}");
    }
}
