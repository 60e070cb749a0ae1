//! What file, environment and command line ask for together: flag beats environment beats file.

use std::time::Duration;

use crate::{
    cli::Cli,
    config::{self, Config},
    expand::Env,
    keys::{Settings, duration},
    plan,
    report::{Format, Verbosity},
    spec::{ConfigError, Declaration},
};

/// The options, checked, and the declarations, read.
pub struct Options {
    /// What every dependency starts from.
    pub defaults: Settings,
    /// A timeout of everything that still waits.
    pub deadline: Option<Duration>,
    /// How the wait is shown.
    pub format: Format,
    /// How much is said.
    pub verbosity: Verbosity,
    /// What is waited for: the file's dependencies, then the command line's.
    pub declarations: Vec<Declaration>,
}

impl Options {
    /// Reads the config file, if one is named, and everything else.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn read(cli: &mut Cli, env: &Env) -> Result<Self, ConfigError> {
        let mut defaults = Settings::default();
        let Config { mut declarations, options } = match &cli.config {
            Some(path) => config::read(path, &mut defaults, env)?,
            None => Config::default(),
        };
        let given: Vec<_> = cli.values().map(|(name, value)| (name, value.clone())).into();
        for (name, value) in given {
            if let Some(value) = value {
                // What is no key of a dependency is read below.
                defaults.apply_option(&cli.place(name), name, &value)?;
            }
        }
        defaults.check().map_err(ConfigError::new)?;
        // The variable is for where nothing else declares: a nested afterall does not wait twice.
        if !cli.dependencies.is_empty() || declarations.is_empty() {
            declarations.extend(plan::declarations(&cli.dependencies, env)?);
        }
        let in_file = |name: &str| options.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let is_set = |flag: bool, name: &str| flag || in_file(name) == Some("true");
        if declarations.is_empty() && !is_set(cli.allow_empty, "allow-empty") {
            return Err(ConfigError::new("nothing to wait for: give a DEPENDENCY (see --help), or --allow-empty"));
        }
        let deadline = cli.deadline.as_deref().or(in_file("deadline")).map(duration).transpose();
        let format = cli.format.as_deref().or(in_file("format")).unwrap_or("auto");
        let verbosity = match (is_set(cli.quiet, "quiet"), is_set(cli.verbose, "verbose")) {
            (_, true) if !cli.quiet => Verbosity::Verbose,
            (true, _) => Verbosity::Quiet,
            _ => Verbosity::Normal,
        };
        Ok(Self {
            deadline: deadline.map_err(|what| ConfigError::at(cli.place("deadline"), what))?,
            format: Format::parse(format).map_err(|what| ConfigError::at(cli.place("format"), what))?,
            defaults,
            verbosity,
            declarations,
        })
    }
}
