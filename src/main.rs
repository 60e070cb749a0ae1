//! The table of contents: parse, plan, wait, report, become. The only place that ends the process.

use std::{ffi::OsString, io::Write, process::exit};

use afterall::{
    children,
    cli::{
        options::Options,
        usage::{self, Asked},
    },
    connect::{MAX_CONNECTS, Net},
    exec::{Command, ExecError},
    exit::Exit,
    plan,
    report::{Log, Report, ReportOptions, ReportedDependency, Verbosity, raw_line},
    signals::{Signals, die_of},
    spec::{ConfigError, expand::Env},
    wait::{Dependency, WaitContext, event::End, wait},
};

#[allow(clippy::exit)] // Here and nowhere else; dropping the runtime would wait for a resolver that hangs.
fn main() {
    // A panic is a defect of ours. What it says may hold a secret, where it happened does not.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map(|at| format!(" at {}:{}", at.file(), at.line()))
            .unwrap_or_default();
        raw_line(&format!("a defect of afterall{place}: please report it"));
    }));
    let mut log = Log::new();
    let exit_with = match run(&mut log) {
        Ok(exit_with) => exit_with,
        Err(Stopped::Config(error)) => {
            log.error(Exit::Usage, &error.to_string());
            Exit::Usage
        }
        Err(Stopped::Exec(error)) => {
            log.error(error.exit, &error.message);
            error.exit
        }
    };
    exit(exit_with.code())
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

fn run(log: &mut Log) -> Result<Exit, Stopped> {
    let signals = Signals::hold().map_err(|e| ConfigError::at("cannot watch for signals", e))?;
    let cli = match usage::parse(std::env::args_os())? {
        Asked::Wait(cli) => *cli,
        Asked::Text(text) => return Ok(on_stdout(&text, signals)),
    };
    let env = Env::process();
    let mut options = Options::read(&cli, &env)?;
    log.set_format(options.format);
    let declarations = std::mem::take(&mut options.declarations);
    let mut plan = plan::plan(declarations, &options.defaults, &env)?;
    let command = Command::new(cli.command);
    if cli.once {
        if command.is_some() {
            return Err(ConfigError::new("--once looks, and runs no COMMAND").into());
        }
        plan::once(&mut plan.planned);
    } else {
        plan.notes.extend(plan::warnings(&plan.planned, options.deadline));
    }
    look_up(command.as_ref(), &plan)?;
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
        return Ok(on_stdout(&text, signals));
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
        let end = waited(dependencies, &options, &signals, true, &mut report)?;
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
    let end = waited(dependencies, &options, &signals, false, &mut report)?;
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

/// What was asked for instead of a wait. A reader that has gone away has seen enough.
fn on_stdout(text: &str, signals: Signals) -> Exit {
    signals.release();
    let _ = std::io::stdout().write_all(text.as_bytes());
    Exit::Ready
}

/// A command that is missing is said at once, not after a minute; unless a dependency waits for that very file.
fn look_up(command: Option<&Command>, plan: &plan::Plan) -> Result<(), ExecError> {
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
    signals: &Signals,
    ask_all: bool,
    report: &mut Report,
) -> Result<End, ConfigError> {
    let open_attempts = open_attempts()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(8)
        .build()
        .map_err(|e| ConfigError::at("cannot start", e))?;
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
    Ok(end)
}

/// As many attempts at once as `ulimit -n` allows, each with its connects, beside what we and our resolver hold ourselves.
fn open_attempts() -> Result<usize, ConfigError> {
    const OURS: u64 = 16;
    const ENOUGH: u64 = 1024;
    let limit =
        rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    match limit.checked_sub(OURS) {
        Some(left) => Ok((left / MAX_CONNECTS as u64).clamp(1, ENOUGH) as usize),
        None => Err(ConfigError::new(format!(
            "cannot start: a limit of {limit} open files is too low, {OURS} are needed"
        ))),
    }
}
