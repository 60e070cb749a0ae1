//! The registry of options. The command line, the variables, the config file, help, manual and
//! completions walk it.

use std::ffi::OsString;

use crate::{
    spec::{ConfigError, KeyValue, Mistakes},
    wait::settings::{COMMON, Common},
};

/// The setting that an option changes.
#[derive(Clone, Copy)]
pub enum Opt {
    /// The default of a key for all dependencies.
    Key(&'static Common),
    /// A timeout of everything that still waits.
    Deadline,
    /// One attempt each, and no wait.
    Once,
    /// The config file.
    Config,
    /// A dependency for each well-known variable.
    FromEnv,
    /// The plan on stdout, and no wait.
    PrintPlan,
    /// A declaration is not needed.
    AllowEmpty,
    /// The format of reports.
    Format,
    /// Only failures are reported.
    Quiet,
    /// Every attempt is reported.
    Verbose,
    /// The short help.
    ShortHelp,
    /// The whole help.
    Help,
    /// The version.
    Version,
}

/// An option as it is written, read and documented.
#[derive(Clone, Copy)]
pub struct Definition {
    /// The setting that it changes.
    pub opt: Opt,
    /// Its name behind `--`, or in a config file; empty if it has only a short one.
    pub name: &'static str,
    /// Its letter behind `-`.
    pub short: Option<char>,
    /// The placeholder for its value in help; empty for a flag.
    pub value: &'static str,
    /// Its effect, for help.
    pub help: &'static str,
    /// Where it can be set besides the command line.
    pub places: Places,
    /// True if `-h` shows it.
    pub is_brief: bool,
}

/// Where an option can be set besides the command line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Places {
    /// Nowhere.
    Nowhere,
    /// In its variable.
    Variable,
    /// In its variable and at the top of a config file.
    VariableAndFile,
}

impl Definition {
    const FLAG: Definition = Definition {
        opt: Opt::Help,
        name: "",
        short: None,
        value: "",
        help: "",
        places: Places::VariableAndFile,
        is_brief: false,
    };

    /// The variable that sets it, if one does.
    pub fn variable(&self) -> Option<String> {
        const PREFIX: &str = "AFTERALL_";
        if self.places == Places::Nowhere {
            return None;
        }
        let mut name = String::with_capacity(PREFIX.len() + self.name.len());
        name.push_str(PREFIX);
        name.extend(self.name.chars().map(|c| if c == '-' { '_' } else { c.to_ascii_uppercase() }));
        Some(name)
    }

    /// Returns true if the top of a config file sets it.
    pub fn is_in_file(&self) -> bool {
        self.places == Places::VariableAndFile
    }

    /// Returns true if it has a value.
    pub fn takes_value(&self) -> bool {
        !self.value.is_empty()
    }

    /// The value that it has unless it is set; empty where there is none.
    pub fn default(&self) -> String {
        match self.opt {
            Opt::Key(common) => common.default(),
            Opt::Format => "auto".to_owned(),
            _ => String::new(),
        }
    }
}

/// Every option, in the order of help.
pub fn definitions() -> impl Iterator<Item = Definition> {
    // `after` names other dependencies: a default of it would be a circle.
    COMMON.iter().filter(|common| common.key.name != "after").map(key_definition).chain(OTHERS)
}

/// The option of this name.
pub fn definition(name: &str) -> Option<Definition> {
    definitions().find(|definition| definition.name == name)
}

fn key_definition(common: &'static Common) -> Definition {
    let is_timeout = common.key.name == "timeout";
    Definition {
        opt: Opt::Key(common),
        name: common.key.name,
        short: is_timeout.then_some('t'),
        value: common.key.value,
        help: common.key.help,
        is_brief: ["timeout", "on-timeout", "fail-fast"].contains(&common.key.name),
        ..Definition::FLAG
    }
}

const OTHERS: [Definition; 12] = [
    Definition {
        opt: Opt::Deadline,
        name: "deadline",
        value: "DURATION",
        help: "a timeout of everything that still waits",
        is_brief: true,
        ..Definition::FLAG
    },
    Definition {
        opt: Opt::Once,
        name: "once",
        help: "one attempt each, now, and a table on stdout; exit 0 or 69",
        places: Places::Variable,
        is_brief: true,
        ..Definition::FLAG
    },
    Definition {
        opt: Opt::Config,
        name: "config",
        short: Some('c'),
        value: "FILE",
        help: "a TOML file with options and [dependency.NAME] tables",
        places: Places::Variable,
        is_brief: true,
    },
    Definition {
        opt: Opt::FromEnv,
        name: "from-env",
        help: "wait for what DATABASE_URL, NATS_URL and other well-known variables name",
        places: Places::Nowhere,
        is_brief: true,
        ..Definition::FLAG
    },
    Definition {
        opt: Opt::PrintPlan,
        name: "print-plan",
        help: "print what would be waited for, and how, on stdout; exit 0 or 64",
        places: Places::Nowhere,
        is_brief: true,
        ..Definition::FLAG
    },
    Definition {
        opt: Opt::AllowEmpty,
        name: "allow-empty",
        help: "go on where nothing is declared to wait for",
        ..Definition::FLAG
    },
    Definition {
        opt: Opt::Format,
        name: "format",
        value: "FORMAT",
        help: "how the wait is shown: auto, live, plain, json",
        is_brief: true,
        ..Definition::FLAG
    },
    Definition {
        opt: Opt::Quiet,
        name: "quiet",
        short: Some('q'),
        help: "report only what fails",
        is_brief: true,
        ..Definition::FLAG
    },
    Definition {
        opt: Opt::Verbose,
        name: "verbose",
        short: Some('v'),
        help: "report every attempt",
        is_brief: true,
        ..Definition::FLAG
    },
    Definition {
        opt: Opt::ShortHelp,
        short: Some('h'),
        help: "print the help of 30 lines; only where it stands alone",
        places: Places::Nowhere,
        ..Definition::FLAG
    },
    Definition {
        opt: Opt::Help,
        name: "help",
        help: "print the whole help",
        places: Places::Nowhere,
        ..Definition::FLAG
    },
    Definition {
        opt: Opt::Version,
        name: "version",
        short: Some('V'),
        help: "print the version",
        places: Places::Nowhere,
        ..Definition::FLAG
    },
];

/// Where an option's value came from. Higher variants override lower ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The config file.
    File,
    /// The option's variable.
    Variable,
    /// The command line.
    Flag,
}

/// An option that is set, not yet checked.
pub struct OptionValue {
    /// The setting that it changes.
    pub opt: Opt,
    /// Where the value came from.
    pub source: Source,
    /// The raw value. A flag of the command line is `true`.
    pub value: KeyValue,
    /// Its name in errors: `--deadline`, `AFTERALL_DEADLINE` or `FILE:LINE: deadline`.
    pub place: String,
}

impl OptionValue {
    /// An option of the command line or of a variable.
    pub fn new(definition: &Definition, source: Source, value: &str, place: String) -> Self {
        let value = KeyValue::literal(definition.name, value);
        Self { opt: definition.opt, source, value, place }
    }

    /// The value of a flag.
    ///
    /// # Errors
    /// The value is neither a yes nor a no.
    pub fn flag(&self) -> Result<bool, ConfigError> {
        match self.value.value.trim().to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "on" | "1" => Ok(true),
            "false" | "f" | "no" | "n" | "off" | "0" => Ok(false),
            _ => Err(self.error("must be true or false (or yes, no, on, off, 1, 0)")),
        }
    }

    /// An error about its value.
    pub fn error(&self, message: impl std::fmt::Display) -> ConfigError {
        ConfigError::at(&self.place, message)
    }
}

/// The command line, split. Nothing in it is checked but its shape.
#[derive(Default)]
pub struct CommandLine {
    /// The declarations.
    pub dependencies: Vec<OsString>,
    /// The command behind `--`, with its arguments.
    pub command: Vec<OsString>,
    /// The options, and the variables that set options.
    pub values: Vec<OptionValue>,
    /// The mistakes in the shape.
    pub mistakes: Mistakes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_unique_and_documented() {
        let all: Vec<Definition> = definitions().collect();
        for (n, definition) in all.iter().enumerate() {
            assert!(!definition.help.is_empty(), "--{}", definition.name);
            assert!(!definition.name.is_empty() || definition.short.is_some());
            for other in &all[n + 1..] {
                assert_ne!((definition.name, definition.short), (other.name, other.short));
                assert!(definition.short.is_none() || definition.short != other.short);
            }
        }
    }

    #[test]
    fn a_flag_is_a_yes_or_a_no_in_any_case() {
        let flag = |text| {
            let definition = definition("quiet").unwrap();
            OptionValue::new(&definition, Source::Variable, text, "Q".to_owned()).flag().ok()
        };
        for (text, want) in [
            ("1", Some(true)),
            ("Yes", Some(true)),
            ("ON", Some(true)),
            ("true", Some(true)),
            ("0", Some(false)),
            ("No", Some(false)),
            ("off", Some(false)),
            ("FALSE", Some(false)),
            ("disabled", None),
            ("2", None),
            ("maybe", None),
        ] {
            assert_eq!(flag(text), want, "{text}");
        }
    }
}
