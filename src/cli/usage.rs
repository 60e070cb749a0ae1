//! The command line, split by clap. Its errors are one line each and quote no value.

use std::ffi::{OsStr, OsString};

use clap::{
    Arg, ArgAction, ArgMatches, Command,
    error::{ContextKind, ContextValue, ErrorKind},
    parser::ValueSource,
    value_parser,
};

use crate::{
    cli::{
        args::{CommandLine, Definition, Opt, OptionValue, Source, definitions},
        help,
    },
    spec::{ConfigError, KeyValue, expand::Env},
};

/// The task that the command line sets.
pub enum Parsed {
    /// Wait, or look once.
    Run(CommandLine),
    /// Print this text on stdout.
    Text(String),
}

const DEPENDENCY: &str = "dependency";
const COMMAND: &str = "command";

/// Reads the command line, and the variables that set options. `args` begins with the program's
/// name.
pub fn parse(args: impl IntoIterator<Item = OsString>, env: &Env) -> Parsed {
    let args: Vec<OsString> = args.into_iter().collect();
    let mut line = CommandLine::default();
    let words = args.iter().skip(1).map(|arg| arg.as_encoded_bytes());
    let dashed: Vec<&[u8]> = words.filter(|arg| arg.starts_with(b"-")).collect();
    let matches = matches(args.clone(), &dashed, &mut line);
    // The process ends before the memory is missed.
    let matches = std::mem::ManuallyDrop::new(matches);
    for definition in definitions() {
        let is_given = may_be_in(&dashed, &definition)
            && matches.value_source(id(&definition)) == Some(ValueSource::CommandLine);
        match definition.opt {
            Opt::Help if is_given => return Parsed::Text(help::long()),
            Opt::Version if is_given => return Parsed::Text(help::version()),
            Opt::ShortHelp if is_given && args.len() == 2 && args[1] == "-h" => {
                return Parsed::Text(help::short());
            }
            Opt::ShortHelp if is_given => return Parsed::Run(no_help(&line)),
            _ => {}
        }
        let flag = if is_given { flag(&definition, &matches) } else { Ok(None) };
        for value in [flag, variable(&definition, env)] {
            match value {
                Ok(value) => line.values.extend(value),
                Err(error) => line.mistakes.push(error),
            }
        }
    }
    let words = |id| matches.get_many::<OsString>(id).into_iter().flatten().cloned().collect();
    (line.dependencies, line.command) = (words(DEPENDENCY), words(COMMAND));
    // An image whose CMD was reset would wait, and then run nothing.
    if line.command.is_empty() && args.last().is_some_and(|last| last == "--") {
        line.mistakes.push(ConfigError::new(
            "no command behind -- (a derived image's ENTRYPOINT resets CMD; to wait only, leave \
            out the --)",
        ));
    }
    Parsed::Run(line)
}

/// Returns the mistake of a `-h` beside other words. It is another tool's `-h HOST`, and help with
/// exit 0 would pass for a wait.
fn no_help(line: &CommandLine) -> CommandLine {
    let mut wrong = CommandLine::default();
    let format = line.values.iter().find(|value| matches!(value.opt, Opt::Format));
    wrong.values.extend(format.map(|format| OptionValue {
        value: KeyValue::literal("format", &format.value.value),
        place: format.place.clone(),
        ..*format
    }));
    wrong.mistakes.push(ConfigError::new(
        "-h is help, and must stand alone; a host is written with its port, e.g. db:5432",
    ));
    wrong
}

/// Returns the matches of the valid arguments. An invalid one is removed, so that the next mistake
/// can be found. `dashed` are the arguments that begin with a dash.
fn matches(mut args: Vec<OsString>, dashed: &[&[u8]], line: &mut CommandLine) -> ArgMatches {
    // To describe every option to clap would take a sixth of a short start's instructions.
    let mut few = command(|definition| may_be_in(dashed, definition));
    if let Ok(matches) = few.try_get_matches_from_mut(&args) {
        std::mem::forget(few);
        return matches;
    }
    let mut command = command(|_| true);
    loop {
        let error = match command.try_get_matches_from_mut(&args) {
            Ok(matches) => return matches,
            Err(error) => error,
        };
        line.mistakes.push(one_line(&error));
        let Some(place) = place_of(&error, &args) else {
            return command.try_get_matches_from_mut(["afterall"]).unwrap_or_default();
        };
        let is_unknown = error.kind() == ErrorKind::UnknownArgument;
        let has_value = args[place].as_encoded_bytes().contains(&b'=');
        args.remove(place);
        // The word behind an unknown option may be its value.
        let is_value = |word: &OsString| {
            let word = word.to_string_lossy();
            !word.starts_with('-') && !word.contains([':', '$'])
        };
        if is_unknown && !has_value && args.get(place).is_some_and(is_value) {
            args.remove(place);
        }
    }
}

/// Returns the position of the argument that clap rejects.
fn place_of(error: &clap::Error, args: &[OsString]) -> Option<usize> {
    let name = invalid_arg(error)?;
    let end = args.iter().position(|arg| arg == "--").unwrap_or(args.len());
    let is_it = |arg: &OsString| {
        let arg = arg.to_string_lossy();
        match name.strip_prefix("--") {
            Some(_) => arg.split(['=', ' ']).next() == Some(name.as_str()),
            // One letter of several behind one dash.
            None => arg.starts_with('-') && !arg.starts_with("--") && arg.contains(&name[1..]),
        }
    };
    let short = definitions().find(|known| name == format!("--{}", known.name));
    let short = short.and_then(|known| known.short).map(|short| format!("-{short}"));
    let is_short = |arg: &OsString| short.as_ref().is_some_and(|short| arg == short.as_str());
    // The last one: earlier ones have their values.
    args[..end].iter().skip(1).rposition(|arg| is_it(arg) || is_short(arg)).map(|at| at + 1)
}

/// Returns false if none of the arguments that begin with a dash can be this option.
fn may_be_in(dashed: &[&[u8]], definition: &Definition) -> bool {
    let is_long = |arg: &[u8]| {
        let name = arg.strip_prefix(b"--");
        !definition.name.is_empty()
            && name.is_some_and(|name| name.starts_with(definition.name.as_bytes()))
    };
    // One letter, perhaps of several behind one dash.
    let is_short = |arg: &[u8]| {
        definition.short.is_some_and(|short| arg.iter().any(|&byte| char::from(byte) == short))
    };
    dashed.iter().any(|arg| is_long(arg) || is_short(arg))
}

/// The command line as clap splits it, with the options that are `wanted`. Values are read later,
/// by code whose errors never quote them.
fn command(wanted: impl Fn(&Definition) -> bool) -> Command {
    let words = |id: &'static str| {
        Arg::new(id).action(ArgAction::Append).num_args(0..).value_parser(value_parser!(OsString))
    };
    Command::new("afterall")
        .disable_help_flag(true)
        .disable_version_flag(true)
        .disable_help_subcommand(true)
        .args_override_self(true)
        .args(definitions().filter(wanted).map(|definition| arg(&definition)))
        .arg(words(DEPENDENCY))
        .arg(words(COMMAND).last(true))
}

fn arg(definition: &Definition) -> Arg {
    let arg = Arg::new(id(definition));
    let arg = if definition.name.is_empty() { arg } else { arg.long(definition.name) };
    let arg = definition.short.into_iter().fold(arg, Arg::short);
    if definition.takes_value() {
        // `-t -5` is a wrong value, no unknown option.
        arg.action(ArgAction::Set)
            .allow_negative_numbers(true)
            .value_parser(value_parser!(OsString))
    } else {
        // Not SetTrue: clap would parse the default of each flag that is not there.
        arg.action(ArgAction::Set).num_args(0)
    }
}

fn id(definition: &Definition) -> &'static str {
    if definition.name.is_empty() { "short" } else { definition.name }
}

/// The value of an option on the command line.
fn flag(definition: &Definition, matches: &ArgMatches) -> Result<Option<OptionValue>, ConfigError> {
    let value = if definition.takes_value() {
        matches.get_one::<OsString>(id(definition)).map(OsString::as_os_str)
    } else {
        Some(OsStr::new("true"))
    };
    let Some(value) = value else { return Ok(None) };
    let place = format!("--{}", definition.name);
    match value.to_str() {
        Some(value) => Ok(Some(OptionValue::new(definition, Source::Flag, value, place))),
        None => Err(ConfigError::at(place, "must be UTF-8")),
    }
}

/// The value of an option's variable. Compose files set variables to nothing, which counts as not
/// set.
fn variable(definition: &Definition, env: &Env) -> Result<Option<OptionValue>, ConfigError> {
    let Some(name) = definition.variable() else { return Ok(None) };
    let value = env.var(&name).map_err(ConfigError::new)?.filter(|value| !value.is_empty());
    Ok(value.map(|value| OptionValue::new(definition, Source::Variable, &value, name)))
}

/// Returns the name of the option that clap rejects, without the value that may follow an = or a
/// blank.
fn invalid_arg(error: &clap::Error) -> Option<String> {
    let text = text(error, ContextKind::InvalidArg)?;
    let name = text.split(['=', ' ']).next().unwrap_or_default();
    name.starts_with('-').then(|| name.to_owned())
}

fn text(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text),
        ContextValue::Strings(texts) => texts.first().map(String::as_str),
        _ => None,
    }
}

fn one_line(error: &clap::Error) -> ConfigError {
    let near = text(error, ContextKind::SuggestedArg).map(|arg| arg.trim_start_matches('-'));
    let is_two_words = || text(error, ContextKind::InvalidArg).is_some_and(|arg| arg.contains(' '));
    let message = match (error.kind(), near) {
        // A list in YAML: `- --timeout 5s`.
        (ErrorKind::UnknownArgument, _) if is_two_words() => {
            "an option and its value must be two arguments, or be joined by =".to_owned()
        }
        (ErrorKind::UnknownArgument, Some(near)) => {
            format!("unknown option, did you mean --{near}?")
        }
        (ErrorKind::UnknownArgument, None) => {
            "unknown option (see --help; a command must stand behind --)".to_owned()
        }
        (
            ErrorKind::InvalidValue
            | ErrorKind::NoEquals
            | ErrorKind::WrongNumberOfValues
            | ErrorKind::TooFewValues,
            _,
        ) => "needs a value".to_owned(),
        (ErrorKind::TooManyValues, _) => "takes no value".to_owned(),
        _ => "wrong usage (see --help)".to_owned(),
    };
    match invalid_arg(error) {
        Some(name) => ConfigError::at(name, message),
        None => ConfigError::new(message),
    }
}
