//! The table of contents: parse, plan, wait, report, become.
#![no_main] // `start` is the entry point.

mod start;

use std::{
    ffi::OsString,
    io::Write,
    ops::ControlFlow::{self, Break, Continue},
    panic::resume_unwind,
    time::Duration,
};

use afterall::{
    children,
    cli::{
        options::Options,
        usage::{self, Parsed},
    },
    connect::{MAX_CONNECTS, Net},
    exec::{Command, ExecError},
    exit::Exit,
    os::describe,
    plan::{
        self, Plan, Planned,
        print::{self, Ending},
    },
    report::{Format, Log, Report, ReportOptions, ReportedDependency, Unaskable, Verbosity},
    signals::{Signals, die_of, stoppable},
    spec::{ConfigError, ConfigErrors, expand::Env},
    wait::{Dependency, Pauses, WaitContext, event::End, wait},
};
use anyhow::{anyhow, bail};
use tokio::runtime::Runtime;

/// Runs, and reports why it stopped if that was an error.
fn end_of(args: Vec<OsString>) -> Exit {
    let mut log = Log::new();
    run(args, &mut log).unwrap_or_else(|error| stopped(&error, &mut log))
}

/// Reports why nothing was started, a line for each mistake.
fn stopped(error: &anyhow::Error, log: &mut Log) -> Exit {
    if let Some(errors) = error.downcast_ref::<ConfigErrors>() {
        errors.iter().for_each(|error| log.error(Exit::Usage, &error.to_string()));
        return Exit::Usage;
    }
    let exit = error.downcast_ref::<ExecError>().map_or(Exit::Usage, |error| error.exit);
    log.error(exit, &format!("{error:#}"));
    exit
}

fn run(args: Vec<OsString>, log: &mut Log) -> anyhow::Result<Exit> {
    let prepared = match stoppable(|| prepare(args, log))? {
        Continue(prepared) => prepared,
        Break(exit) => return Ok(exit),
    };
    let Prepared { is_look, options, command, subjects, dependencies, unaskable } = prepared;
    let stage = Stage::prepared(options.deadline, is_look)?;
    if is_look {
        let unaskable = Unaskable::all(&unaskable);
        let report = Report::for_look(std::mem::take(log), subjects, unaskable, options);
        Ok(look_once(stage, dependencies, report))
    } else {
        let report = Report::for_wait(std::mem::take(log), subjects, options);
        wait_and_become(stage, dependencies, report, command, log)
    }
}

/// Everything that a wait needs.
struct Prepared {
    is_look: bool,
    options: ReportOptions,
    command: Option<Command>,
    subjects: Vec<ReportedDependency>,
    dependencies: Vec<Dependency>,
    /// The dependencies of a look that have a mistake.
    unaskable: Vec<ConfigError>,
}

/// Reads and checks everything that was declared, or ends at once. Reads files.
fn prepare(args: Vec<OsString>, log: &mut Log) -> anyhow::Result<ControlFlow<Exit, Prepared>> {
    let env = Env::process();
    let line = match usage::parse(args, &env) {
        Parsed::Run(line) => line,
        Parsed::Text(text) => return Ok(Break(on_stdout(&text, log))),
    };
    let mut options = Options::read(line, &env);
    log.set_format(options.format);
    let plan = planned(&mut options, &env, log);
    let mut command = Command::new(std::mem::take(&mut options.command));
    let found = look_up(command.as_mut(), &plan);
    let entries = options.print_plan.then(|| print::entries(&plan.planned));
    let mut subjects = subjects(&plan);
    let (dependencies, remarks) = plan::build(plan.planned, &mut options.mistakes);
    let mistakes = &mut options.mistakes;
    let mut unaskable = Vec::new();
    if options.once {
        // Every row is shown at the end, and the places of those that are left out do not count.
        subjects.iter_mut().for_each(|subject| subject.after.clear());
        // At 3 a.m. the state of the others is worth more than an early exit.
        if !dependencies.is_empty() && mistakes.concern_dependencies_alone() {
            subjects.retain(|subject| !mistakes.concern(&subject.name));
            unaskable = mistakes.take();
        }
    }
    mistakes.check()?;
    if options.verbosity == Verbosity::Verbose {
        remarks.iter().for_each(|remark| log.note(remark));
    }
    if let Some(mut entries) = entries {
        print::add_servers(&mut entries, &dependencies);
        let command = command.as_ref().map(Command::name);
        let problem = found.as_ref().err().map(ToString::to_string);
        let ending = Ending { deadline: options.deadline, command, problem };
        let is_json = options.format == Format::Json;
        return Ok(Break(on_stdout(&print::plan(entries, &ending, is_json), log)));
    }
    found?;
    let Options { once: is_look, format, verbosity, deadline, .. } = options;
    let options = ReportOptions { format, verbosity, deadline };
    Ok(Continue(Prepared { is_look, options, command, subjects, dependencies, unaskable }))
}

/// Returns the plan. Its notes go to the log.
fn planned(options: &mut Options, env: &Env, log: &mut Log) -> Plan {
    let declared = std::mem::take(&mut options.declared);
    let mut plan = plan::plan(declared, &options.defaults, env, &mut options.mistakes);
    if options.once {
        plan::once(&mut plan.planned);
    } else {
        plan.notes.extend(plan::warnings(&plan.planned, options.deadline));
    }
    if options.verbosity > Verbosity::Quiet {
        plan.notes.iter().for_each(|note| log.note(note));
    }
    plan
}

/// One attempt each, and a table.
fn look_once(stage: Stage, dependencies: Vec<Dependency>, report: Report) -> Exit {
    let (end, signals, mut report) = stage.wait(dependencies, report);
    // The table may exceed a pipe's buffer, and signals are no longer watched.
    signals.release();
    report.end(end);
    match end {
        End::Signal(signal) => die_of(signal),
        // No retry can mend a mistake, whatever the other dependencies do.
        _ if report.has_unaskable() => Exit::Usage,
        End::Ready => Exit::Ready,
        End::TimedOut | End::Hopeless => Exit::Hopeless,
    }
}

/// The wait. On success the command takes our place, if there is one.
fn wait_and_become(
    stage: Stage,
    dependencies: Vec<Dependency>,
    report: Report,
    command: Option<Command>,
    log: &mut Log,
) -> anyhow::Result<Exit> {
    let (end, signals, mut report) = stage.wait(dependencies, report);
    report.end(end);
    match (end, command) {
        (End::Ready, Some(command)) => {
            report.becoming(&command.name());
            *log = report.into_log();
            Err(command.exec(signals).into())
        }
        (End::Ready, None) => Ok(Exit::Ready),
        (End::TimedOut, _) => Ok(Exit::TimedOut),
        (End::Hopeless, _) => Ok(Exit::Hopeless),
        (End::Signal(signal), _) => die_of(signal),
    }
}

fn subjects(plan: &Plan) -> Vec<ReportedDependency> {
    let subject = |planned: &Planned| ReportedDependency {
        name: planned.spec.name.clone(),
        timeout: planned.settings.timeout,
        after: planned.after.clone(),
        needs: plan::needs_of(planned.kind),
    };
    plan.planned.iter().map(subject).collect()
}

/// Prints the text that was requested instead of a wait. A closed pipe is not an error.
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

/// A missing command is reported at once, not after a minute; unless a dependency waits for that
/// very file.
fn look_up(command: Option<&mut Command>, plan: &Plan) -> Result<(), ExecError> {
    let Some(command) = command else { return Ok(()) };
    let path = std::env::var_os("PATH");
    let candidates = command.candidates(path.as_deref());
    let awaited = |planned: &Planned| {
        let file = planned.kind.awaited_file.map(|awaited_file| awaited_file(&planned.spec));
        file.is_some_and(|file| candidates.contains(&file))
    };
    if plan.planned.iter().any(awaited) { Ok(()) } else { command.look_up(path.as_deref()) }
}

/// The process's part in a wait: blocked signals, and a runtime of one thread.
struct Stage {
    signals: Signals,
    runtime: Runtime,
    open_attempts: usize,
    deadline: Option<Duration>,
    is_look: bool,
}

impl Stage {
    fn prepared(deadline: Option<Duration>, is_look: bool) -> anyhow::Result<Self> {
        let open_attempts = open_attempts()?;
        let signals = Signals::hold().map_err(|e| cannot_start(&e))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(8)
            .build()
            .map_err(|e| cannot_start(&e))?;
        Ok(Self { signals, runtime, open_attempts, deadline, is_look })
    }

    /// Waits. The wait is a task: waking a task costs no system call, and waking the runtime's own
    /// future costs two.
    fn wait(self, dependencies: Vec<Dependency>, mut report: Report) -> (End, Signals, Report) {
        let Self { signals, runtime, open_attempts, deadline, is_look } = self;
        let world = WaitContext {
            net: Net::system(),
            open_attempts,
            random: fastrand::f64,
            pauses: Pauses::by_kernel(),
            deadline,
            tick: report.tick_every(),
            ask_all: is_look,
        };
        let task = async move {
            let end = wait(dependencies, world, signals.next(), &mut report).await;
            (end, signals, report)
        };
        let ended = runtime.block_on(async { tokio::spawn(task).await });
        // Dropping the runtime would wait for a lookup that hangs.
        std::mem::forget(runtime);
        children::reap_all();
        match ended {
            Ok(ended) => ended,
            Err(error) => resume_unwind(error.into_panic()),
        }
    }
}

/// Descriptors that the wait itself needs: the signals, the runtime, the report, a lookup.
const OWN_DESCRIPTORS: u64 = 16;

/// As many attempts at once as `ulimit -n` allows, each with its connects, beside our own
/// descriptors.
fn open_attempts() -> anyhow::Result<usize> {
    const MAX_ATTEMPTS: u64 = 1024;
    let limit = open_files();
    match limit.checked_sub(OWN_DESCRIPTORS) {
        Some(left) => Ok((left / MAX_CONNECTS as u64).clamp(1, MAX_ATTEMPTS) as usize),
        None => bail!(
            "cannot start: a limit of {limit} open files is too low: must be at least \
             {OWN_DESCRIPTORS} (ulimit -n)"
        ),
    }
}

/// The limit of open files.
fn open_files() -> u64 {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX)
}

fn cannot_start(error: &std::io::Error) -> anyhow::Error {
    if error.raw_os_error() != Some(libc::EMFILE) {
        return anyhow!("cannot start: {}", describe(error));
    }
    anyhow!(
        "cannot start: too many open files: {} may be open (ulimit -n), and afterall needs about \
         {OWN_DESCRIPTORS} beside those that it inherits",
        open_files()
    )
}
