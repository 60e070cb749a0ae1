//! The merged options of file, environment and command line: flag beats environment beats file.

use std::{ffi::OsString, time::Duration};

use crate::{
    cli::{
        args::{CommandLine, Opt, OptionValue},
        config::{self, Config},
        from_env,
    },
    report::{Format, Verbosity},
    sort::sort_by_key,
    spec::{ConfigError, Declaration, Declared, Mistakes, declaration::given_name, expand::Env},
    wait::settings::{PAUSES, Settings, duration},
};

/// The options, and the declarations, read. `mistakes` holds the errors; the rest is valid.
pub struct Options {
    /// The settings of a dependency that sets none itself.
    pub defaults: Settings,
    /// A timeout of everything that still waits.
    pub deadline: Option<Duration>,
    /// The format of reports.
    pub format: Format,
    /// The amount of reports.
    pub verbosity: Verbosity,
    /// One attempt each, and no wait.
    pub once: bool,
    /// The plan, and no wait.
    pub print_plan: bool,
    /// The dependencies of the file, then those of the command line.
    pub declared: Declared,
    /// The command behind `--`, with its arguments.
    pub command: Vec<OsString>,
    /// The mistakes so far.
    pub mistakes: Mistakes,
}

impl Options {
    /// Reads the config file, if one is named, and everything else.
    pub fn read(mut line: CommandLine, env: &Env) -> Self {
        let mut mistakes = std::mem::take(&mut line.mistakes);
        let mut options = Self {
            defaults: Settings::default(),
            deadline: None,
            format: Format::Auto,
            verbosity: Verbosity::Normal,
            once: false,
            print_plan: false,
            declared: Declared::default(),
            command: line.command,
            mistakes: Mistakes::default(),
        };
        let path = line.values.iter().filter(|value| matches!(value.opt, Opt::Config));
        if let Some(path) = path.max_by_key(|value| value.source) {
            let file = config::read(&path.value.value, env, &mut mistakes);
            let Config { declared, values } = file;
            options.declared = declared;
            line.values.extend(values);
        }
        // A later value overrides an earlier one. Of one source, quiet overrides verbose.
        sort_by_key(&mut line.values, |value| (value.source, matches!(value.opt, Opt::Quiet)));
        let mut flags = Flags::default();
        for value in &line.values {
            mistakes.keep(options.apply(value, &mut flags));
        }
        let is_pause = |value: &&OptionValue| PAUSES.contains(&value.value.name.as_str());
        if let Some(last) = line.values.iter().rfind(is_pause) {
            let checked = options.defaults.check(&last.value.name);
            mistakes.keep(checked.map_err(|message| last.error(message)));
        }
        let has_command_line = flags.from_env || !line.dependencies.is_empty();
        if flags.from_env {
            let notes = &mut options.declared.notes;
            let declarations = from_env::declared(env, &mut mistakes, notes);
            options.declared.declarations.extend(declarations);
        }
        // The variable counts only if nothing else declares: a nested afterall does not wait twice.
        if !line.dependencies.is_empty() || options.declared.is_empty() && !has_command_line {
            declare(&line.dependencies, env, &mut options.declared, &mut mistakes);
        }
        if options.declared.is_empty() && !flags.allow_empty && mistakes.is_empty() {
            mistakes.push(ConfigError::new(format!(
                "nothing to wait for: give a DEPENDENCY, e.g. db:5432, or set {VARIABLE} (see -h; \
                --allow-empty goes on)"
            )));
        }
        if options.once && !options.command.is_empty() {
            mistakes.push(ConfigError::new("--once looks, and runs no COMMAND"));
        }
        Self { mistakes, ..options }
    }

    fn apply(&mut self, value: &OptionValue, flags: &mut Flags) -> Result<(), ConfigError> {
        let text = value.value.value.as_str();
        let wrong = |message: String| value.error(message);
        match value.opt {
            Opt::Key(common) => {
                return (common.set)(&mut self.defaults, &value.value).map_err(wrong);
            }
            Opt::Deadline => self.deadline = Some(duration(text).map_err(wrong)?),
            Opt::Format => self.format = Format::parse(text).map_err(wrong)?,
            Opt::Once => self.once = value.flag()?,
            Opt::PrintPlan => self.print_plan = value.flag()?,
            Opt::AllowEmpty => flags.allow_empty = value.flag()?,
            Opt::FromEnv => flags.from_env = value.flag()?,
            Opt::Quiet => {
                self.verbosity = apply_verbosity(self.verbosity, Verbosity::Quiet, value.flag()?);
            }
            Opt::Verbose => {
                self.verbosity = apply_verbosity(self.verbosity, Verbosity::Verbose, value.flag()?);
            }
            // Handled where the command line is read.
            Opt::Config | Opt::ShortHelp | Opt::Help | Opt::Version => {}
        }
        Ok(())
    }
}

/// The flags that decide which declarations are read. Nothing else needs them.
#[derive(Default)]
struct Flags {
    allow_empty: bool,
    from_env: bool,
}

/// Applies `--quiet` or `--verbose`, set to `is_on`.
fn apply_verbosity(verbosity: Verbosity, wanted: Verbosity, is_on: bool) -> Verbosity {
    if is_on {
        wanted
    } else if verbosity == wanted {
        Verbosity::Normal
    } else {
        verbosity
    }
}

/// The variable that declares dependencies where neither argv nor a file does.
pub const VARIABLE: &str = "AFTERALL_DEPENDENCIES";

/// Reads the declarations of the command line or, where there is none, of [`VARIABLE`].
pub fn declare(args: &[OsString], env: &Env, declared: &mut Declared, mistakes: &mut Mistakes) {
    if args.is_empty() {
        let words = env.var(VARIABLE).map_err(ConfigError::new).and_then(|words| {
            // A file of variables from Windows ends its lines in CR LF.
            shell_words::split(&words.unwrap_or_default().replace('\r', " "))
                .map_err(|_| ConfigError::at(VARIABLE, "a quote must be closed"))
        });
        for (n, word) in mistakes.keep(words).into_iter().flatten().enumerate() {
            let read = Declaration::parse(&format!("{VARIABLE} {}", n + 1), &word, env);
            declared.add(given_name(&word), read, mistakes);
        }
        return;
    }
    declared.declarations.reserve(args.len());
    for (n, arg) in args.iter().enumerate() {
        let place = format!("dependency {}", n + 1);
        let read = match arg.to_str() {
            Some(arg) => Declaration::parse(&place, arg, env),
            None => Err(ConfigError::at(place, "must be UTF-8")),
        };
        declared.add(arg.to_str().and_then(given_name), read, mistakes);
    }
}
