//! The table of contents: parse, plan, wait, report, become.
#![no_main] // `start` is the entry point.

mod start;

use std::{ffi::OsString, io::Write};

use afterall::{
    children,
    cli::{
        options::Options,
        usage::{self, Asked},
    },
    connect::{MAX_CONNECTS, Net},
    exec::{Command, ExecError},
    exit::Exit,
    os::describe,
    plan,
    report::{Log, Report, ReportOptions, ReportedDependency, Verbosity},
    signals::{Signals, die_of},
    spec::{ConfigError, expand::Env},
    wait::{Dependency, WaitContext, event::End, wait},
};

/// Runs, and reports why it stopped if that was an error.
fn end_of(args: Vec<OsString>) -> Exit {
    let mut log = Log::new();
    match run(args, &mut log) {
        Ok(exit) => exit,
        Err(Stopped::Config(error)) => {
            log.error(Exit::Usage, &error.to_string());
            Exit::Usage
        }
        Err(Stopped::Exec(error)) => {
            log.error(error.exit, &error.message);
            error.exit
        }
    }
}

enum Stopped {
    Config(ConfigError),
    Exec(ExecError),
}

impl From<ConfigError> for Stopped {
    fn from(error: ConfigError) -> Self {
        Stopped::Config(error)
    }
}

impl From<ExecError> for Stopped {
    fn from(error: ExecError) -> Self {
        Stopped::Exec(error)
    }
}

fn run(args: Vec<OsString>, log: &mut Log) -> Result<Exit, Stopped> {
    let cli = match usage::parse(args)? {
        Asked::Wait(cli) => *cli,
        Asked::Text(text) => return Ok(on_stdout(&text, log)),
    };
    let env = Env::process();
    let mut options = Options::read(&cli, &env)?;
    log.set_format(options.format);
    let declarations = std::mem::take(&mut options.declarations);
    let mut plan = plan::plan(declarations, &options.defaults, &env)?;
    let mut command = Command::new(cli.command);
    if cli.once {
        if command.is_some() {
            return Err(ConfigError::new("--once looks, and runs no COMMAND").into());
        }
        plan::once(&mut plan.planned);
    } else {
        plan.notes.extend(plan::warnings(&plan.planned, options.deadline));
    }
    look_up(command.as_mut(), &plan)?;
    if options.verbosity > Verbosity::Quiet {
        plan.notes.iter().for_each(|remark| log.note(remark));
    }
    if cli.print_plan {
        let text = plan::print::text(
            &plan,
            options.deadline,
            command.as_ref().map(Command::name).as_deref(),
        );
        // Proving it right is half of what a printed plan is for.
        let (_, remarks) = plan::build(plan.planned)?;
        remark(log, &remarks, &options);
        return Ok(on_stdout(&text, log));
    }
    let subjects: Vec<ReportedDependency> = plan
        .planned
        .iter()
        .map(|planned| ReportedDependency {
            name: planned.spec.name.clone(),
            timeout: planned.settings.timeout,
            after: planned.after.clone(),
        })
        .collect();
    let (dependencies, remarks) = plan::build(plan.planned)?;
    remark(log, &remarks, &options);
    let report_options = ReportOptions {
        format: options.format,
        verbosity: options.verbosity,
        deadline: options.deadline,
    };
    if cli.once {
        let mut report = Report::of_look(log, subjects, report_options);
        let (end, signals) = waited(dependencies, &options, true, &mut report)?;
        // The table may be more than a pipe takes, and nobody watches for signals any more.
        signals.release();
        report.end(end);
        return match end {
            End::Ready => Ok(Exit::Ready),
            End::TimedOut | End::Hopeless => Ok(Exit::Hopeless),
            End::Signal(signal) => die_of(signal),
        };
    }
    let mut report = Report::of_wait(log, subjects, report_options);
    let (end, signals) = waited(dependencies, &options, false, &mut report)?;
    report.end(end);
    match end {
        End::Ready => match command {
            Some(command) => {
                report.becoming(&command.name());
                Err(command.exec(signals).into())
            }
            None => Ok(Exit::Ready),
        },
        End::TimedOut => Ok(Exit::TimedOut),
        End::Hopeless => Ok(Exit::Hopeless),
        End::Signal(signal) => die_of(signal),
    }
}

/// What the kinds found worth a remark, for whoever asked for every detail.
fn remark(log: &mut Log, remarks: &[String], options: &Options) {
    if options.verbosity == Verbosity::Verbose {
        remarks.iter().for_each(|remark| log.note(remark));
    }
}

/// Prints what was asked for instead of a wait. A reader that has gone away has seen enough.
fn on_stdout(text: &str, log: &mut Log) -> Exit {
    let mut stdout = std::io::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            log.error(Exit::Output, &format!("cannot write to stdout: {}", describe(&error)));
            Exit::Output
        }
        _ => Exit::Ready,
    }
}

/// A command that is missing is said at once, not after a minute; unless a dependency waits for that very file.
fn look_up(command: Option<&mut Command>, plan: &plan::Plan) -> Result<(), ExecError> {
    let Some(command) = command else { return Ok(()) };
    let path: Option<OsString> = std::env::var_os("PATH");
    let candidates = command.candidates(path.as_deref());
    let awaited = |planned: &plan::Planned| {
        let file = planned.kind.awaited_file.map(|awaited_file| awaited_file(&planned.spec));
        file.is_some_and(|file| candidates.contains(&file))
    };
    if plan.planned.iter().any(awaited) { Ok(()) } else { command.look_up(path.as_deref()) }
}

/// Waits on a runtime of one thread, which is left behind as it is: dropping it would wait for a lookup that hangs.
fn waited(
    dependencies: Vec<Dependency>,
    options: &Options,
    ask_all: bool,
    report: &mut Report,
) -> Result<(End, Signals), ConfigError> {
    let open_attempts = open_attempts()?;
    let signals = Signals::hold().map_err(|e| cannot_start(&e))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(8)
        .build()
        .map_err(|e| cannot_start(&e))?;
    let world = WaitContext {
        net: Net::system(),
        open_attempts,
        random: fastrand::f64,
        deadline: options.deadline,
        tick: report.tick_every(),
        ask_all,
    };
    let end = runtime.block_on(wait(dependencies, world, signals.next(), report));
    std::mem::forget(runtime);
    children::reap_all();
    Ok((end, signals))
}

/// Descriptors that the wait itself needs: the signals, the runtime, the report, a lookup.
const OWN_DESCRIPTORS: u64 = 16;

/// As many attempts at once as `ulimit -n` allows, each with its connects, beside our own descriptors.
fn open_attempts() -> Result<usize, ConfigError> {
    const MAX_ATTEMPTS: u64 = 1024;
    let limit = open_files();
    match limit.checked_sub(OWN_DESCRIPTORS) {
        Some(left) => Ok((left / MAX_CONNECTS as u64).clamp(1, MAX_ATTEMPTS) as usize),
        None => Err(ConfigError::new(format!(
            "cannot start: a limit of {limit} open files is too low: must be at least \
             {OWN_DESCRIPTORS} (ulimit -n)"
        ))),
    }
}

/// The limit of open files.
fn open_files() -> u64 {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX)
}

fn cannot_start(error: &std::io::Error) -> ConfigError {
    if error.raw_os_error() != Some(libc::EMFILE) {
        return ConfigError::at("cannot start", describe(error));
    }
    ConfigError::new(format!(
        "cannot start: too many open files: {} may be open (ulimit -n), and afterall needs about \
         {OWN_DESCRIPTORS} beside those that it inherits",
        open_files()
    ))
}
