//! What clap says, said our way: help with the kinds and exit codes, and errors of one line that quote no value.

use clap::{
    Arg, ArgAction, CommandFactory, FromArgMatches,
    error::{ContextKind, ContextValue, ErrorKind},
    parser::ValueSource,
};

use crate::{cli::Cli, exit, keys::COMMON, kinds::KINDS, probe::Key, spec::ConfigError, tls};

/// What the command line asks for.
pub enum Asked {
    /// To wait.
    Wait(Box<Cli>),
    /// For this text, on stdout.
    Text(String),
}

/// Reads the command line and the options' variables.
///
/// # Errors
/// One line that names the option and never shows a value.
pub fn parse(args: impl IntoIterator<Item = std::ffi::OsString>) -> Result<Asked, ConfigError> {
    match Cli::command().try_get_matches_from(args).and_then(|matches| read(&matches)) {
        Ok(cli) => Ok(Asked::Wait(Box::new(cli))),
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp => Ok(Asked::Text(help())),
            ErrorKind::DisplayVersion => Ok(Asked::Text(error.to_string())),
            _ => Err(one_line(&error)),
        },
    }
}

fn read(matches: &clap::ArgMatches) -> Result<Cli, clap::Error> {
    let mut cli = Cli::from_arg_matches(matches)?;
    let mut from_env = Vec::new();
    // A flag beats the variable that says the opposite.
    let typed = |name| matches.value_source(name) == Some(ValueSource::CommandLine);
    match (typed("quiet"), typed("verbose")) {
        (true, false) => cli.verbose = false,
        (false, true) => cli.quiet = false,
        _ => {}
    }
    // A variable that is set to nothing, as compose files do, is a variable that is not set.
    for (option, value) in cli.values() {
        if matches.value_source(option.replace('-', "_").as_str()) != Some(ValueSource::EnvVariable) {
            continue;
        }
        match value.as_deref() {
            Some("") => *value = None,
            _ => from_env.push(option.to_owned()),
        }
    }
    cli.from_env = from_env;
    Ok(cli)
}

/// The whole help. Built only when it is asked for.
fn help() -> String {
    // There is one help; clap's own flag would speak of a shorter one.
    let flag = Arg::new("help").short('h').long("help").action(ArgAction::Help).help("Print this");
    Cli::command().disable_help_flag(true).arg(flag).after_help(epilogue()).render_help().to_string()
}

/// Behind the options: examples, the kinds, the keys, the exit codes.
fn epilogue() -> String {
    let mut out = EXAMPLES.to_owned();
    out += "\nKinds (the URL is the one that the application itself uses), and their keys behind the #:\n";
    for kind in KINDS {
        out += &format!("  {}\n          ready when: {}\n", kind.usage, kind.summary);
        for key in kind.own_keys().filter(|key| !is_tls(key)) {
            out += &described(key);
        }
        if kind.own_keys().any(is_tls) {
            out += "          and the keys of TLS\n";
        }
    }
    out += "\nKeys of TLS:\n";
    out.extend(tls::KEYS.iter().map(described));
    out += "\nKeys of every kind; each but `after` is also an option:\n          ";
    out += &COMMON.iter().map(|common| common.key.name).collect::<Vec<_>>().join(", ");
    out += "\n\nIn a declaration, ${VAR}, ${VAR:-default} and ${file:PATH} are expanded, and env:NAME stands for ${NAME}.\n";
    out += "Where no dependency is given, AFTERALL_DEPENDENCIES is read: declarations as shell words.\n";
    out += "\nExit codes:\n";
    for (codes, meaning) in exit::TABLE {
        out += &format!("  {codes:<10}{meaning}\n");
    }
    out
}

const EXAMPLES: &str = "\
Examples:
  afterall db:5432 -- myservice                           a port; then myservice, as the same process
  afterall postgres://app@db/app#timeout=5m -- myservice  a login
  afterall db=env:DATABASE_URL api=https://api/ready      no command: exits 0 when both are ready
  afterall --once nats://nats:4222                        looks once
";

fn is_tls(key: &Key) -> bool {
    tls::KEYS.iter().any(|known| (known.name, known.help) == (key.name, key.help))
}

fn described(key: &Key) -> String {
    let equals = if key.value.is_empty() { "" } else { "=" };
    format!("          {}{equals}{}: {}\n", key.name, key.value, key.help)
}

fn one_line(error: &clap::Error) -> ConfigError {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        Some(ContextValue::Strings(texts)) => texts.first().map(String::as_str),
        _ => None,
    };
    // Behind an = or a space may stand a value.
    let name = text(ContextKind::InvalidArg).map(|arg| arg.split(['=', ' ']).next().unwrap_or_default());
    let name = name.filter(|name| name.starts_with('-'));
    let what = match error.kind() {
        ErrorKind::UnknownArgument => match text(ContextKind::SuggestedArg).map(|arg| arg.trim_start_matches('-')) {
            Some(near) => format!("unknown option, did you mean --{near}?"),
            None => "unknown option (see --help; the command stands behind --)".to_owned(),
        },
        ErrorKind::InvalidValue | ErrorKind::NoEquals | ErrorKind::WrongNumberOfValues | ErrorKind::TooFewValues => {
            "needs a value".to_owned()
        }
        ErrorKind::TooManyValues => "takes no value".to_owned(),
        ErrorKind::InvalidUtf8 => "an option's value is not UTF-8".to_owned(),
        _ => "wrong usage (see --help)".to_owned(),
    };
    match name {
        Some(name) => ConfigError::at(name, what),
        None => ConfigError::new(what),
    }
}
