//! What file, environment and command line ask for together: flag beats environment beats file.

use std::time::Duration;

use crate::{
    cli::{
        Cli,
        config::{self, Config},
    },
    report::{Format, Verbosity},
    spec::{ConfigError, Declaration, expand::Env},
    wait::settings::{Settings, duration},
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
    pub fn read(cli: &Cli, env: &Env) -> Result<Self, ConfigError> {
        let mut defaults = Settings::default();
        let path =
            cli.given.iter().find(|given| given.name == "config").map(|given| given.value.as_str());
        let Config { mut declarations, options: in_file } = match path {
            Some(path) => config::read(path, &mut defaults, env)?,
            None => Config::default(),
        };
        // What is applied later beats what was before; of one source, quiet beats verbose.
        let mut given: Vec<_> = in_file.iter().chain(&cli.given).collect();
        given.sort_by_key(|given| (given.source, given.name == "quiet"));
        let mut options = Self {
            defaults,
            deadline: None,
            format: Format::Auto,
            verbosity: Verbosity::Normal,
            declarations: Vec::new(),
        };
        let mut allow_empty = false;
        for given in given {
            let place = |what| ConfigError::at(&given.place, what);
            match given.name.as_str() {
                "deadline" => options.deadline = Some(duration(&given.value).map_err(place)?),
                "format" => options.format = Format::parse(&given.value).map_err(place)?,
                "allow-empty" => allow_empty = given.flag()?,
                "quiet" => {
                    options.verbosity = with(options.verbosity, Verbosity::Quiet, given.flag()?)
                }
                "verbose" => {
                    options.verbosity = with(options.verbosity, Verbosity::Verbose, given.flag()?)
                }
                // `config` and `once` are no key of a dependency and are left.
                name => options.defaults.apply_option(&given.place, name, &given.value)?,
            }
        }
        options.defaults.check().map_err(ConfigError::new)?;
        // The variable is for where nothing else declares: a nested afterall does not wait twice.
        if !cli.dependencies.is_empty() || declarations.is_empty() {
            declarations.extend(declared(&cli.dependencies, env)?);
        }
        if declarations.is_empty() && !allow_empty {
            return Err(ConfigError::new(
                "nothing to wait for: give a DEPENDENCY (see --help), or --allow-empty",
            ));
        }
        options.declarations = declarations;
        Ok(options)
    }
}

/// `verbosity` after `wanted` was said to hold or not to hold.
fn with(verbosity: Verbosity, wanted: Verbosity, holds: bool) -> Verbosity {
    match holds {
        true => wanted,
        false if verbosity == wanted => Verbosity::Normal,
        false => verbosity,
    }
}

/// The variable that declares dependencies where neither argv nor a file does.
pub const VARIABLE: &str = "AFTERALL_DEPENDENCIES";

/// Reads the declarations of the command line or, where there is none, of [`VARIABLE`].
///
/// # Errors
/// The first declaration that cannot be read.
pub fn declared(args: &[std::ffi::OsString], env: &Env) -> Result<Vec<Declaration>, ConfigError> {
    if args.is_empty() {
        let words = env.var(VARIABLE).map_err(ConfigError::new)?.unwrap_or_default();
        let words = shell_words::split(&words)
            .map_err(|_| ConfigError::at(VARIABLE, "a quote is not closed"))?;
        return words.iter().enumerate().map(|(n, word)| parse(VARIABLE, n, word, env)).collect();
    }
    let each = args.iter().enumerate();
    each.map(|(n, arg)| match arg.to_str() {
        Some(arg) => parse("dependency", n, arg, env),
        None => Err(ConfigError::at(format_args!("dependency {}", n + 1), "is not UTF-8")),
    })
    .collect()
}

fn parse(place: &str, n: usize, text: &str, env: &Env) -> Result<Declaration, ConfigError> {
    Declaration::parse(&format!("{place} {}", n + 1), text, env)
}
