//! What clap says, said our way: help with the kinds and exit codes, and errors of one line that quote no value.

use clap::{
    Arg, ArgAction, Command, CommandFactory, FromArgMatches,
    error::{ContextKind, ContextValue, ErrorKind},
    parser::ValueSource,
};

use crate::{
    cli::{
        Cli,
        given::{Given, Source},
    },
    exit,
    kinds::KINDS,
    spec::{ConfigError, Key},
    tls,
    wait::settings::COMMON,
};

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
    match command().try_get_matches_from(args).and_then(|matches| read(&matches)) {
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
    cli.given = Cli::command().get_arguments().filter_map(|arg| given(arg, matches)).collect();
    Ok(cli)
}

/// What was said of an option that has a variable.
fn given(arg: &Arg, matches: &clap::ArgMatches) -> Option<Given> {
    let (id, name, variable) = (arg.get_id().as_str(), arg.get_long()?, arg.get_env()?);
    let (source, place) = match matches.value_source(id)? {
        ValueSource::CommandLine => (Source::Flag, format!("--{name}")),
        ValueSource::EnvVariable => (Source::Variable, variable.to_string_lossy().into_owned()),
        _ => return None,
    };
    let raw = matches.get_raw(id)?.next_back()?;
    // A variable that is set to nothing, as compose files do, is a variable that is not set.
    if source == Source::Variable && raw.is_empty() {
        return None;
    }
    let value = match matches.try_get_one::<bool>(id) {
        Ok(flag) => flag?.to_string(),
        Err(_) => matches.get_one::<String>(id)?.clone(),
    };
    Some(Given { source, name: name.to_owned(), value, place })
}

/// The command line as it is read, shown and documented. There is one help; clap's own flag would speak of a shorter one.
pub fn command() -> Command {
    let help = Arg::new("help").short('h').long("help").action(ArgAction::Help).help("Print help");
    Cli::command().disable_help_flag(true).arg(help)
}

/// The whole help. Built only when it is asked for.
fn help() -> String {
    command().after_help(epilogue()).render_help().to_string()
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
    let name =
        text(ContextKind::InvalidArg).map(|arg| arg.split(['=', ' ']).next().unwrap_or_default());
    let name = name.filter(|name| name.starts_with('-'));
    let what = match error.kind() {
        ErrorKind::UnknownArgument => {
            match text(ContextKind::SuggestedArg).map(|arg| arg.trim_start_matches('-')) {
                Some(near) => format!("unknown option, did you mean --{near}?"),
                None => "unknown option (see --help; the command stands behind --)".to_owned(),
            }
        }
        ErrorKind::InvalidValue
        | ErrorKind::NoEquals
        | ErrorKind::WrongNumberOfValues
        | ErrorKind::TooFewValues => "needs a value".to_owned(),
        ErrorKind::TooManyValues => "takes no value".to_owned(),
        ErrorKind::InvalidUtf8 => "an option's value is not UTF-8".to_owned(),
        _ => "wrong usage (see --help)".to_owned(),
    };
    match name {
        Some(name) => ConfigError::at(name, what),
        None => ConfigError::new(what),
    }
}
