//! The clap struct and nothing else. Values stay text: what they mean is found later, by code whose errors never quote them.

use std::ffi::OsString;

use clap::{Parser, builder::FalseyValueParser};

use crate::cli::given::Given;

/// Waits until a service's dependencies are really ready, then becomes the service.
#[derive(Debug, Parser)]
#[command(
    name = "afterall",
    version,
    max_term_width = 110,
    override_usage = "afterall [OPTIONS] [[NAME=]URL[#KEY=VALUE,...]]... [-- COMMAND [ARG]...]",
    disable_help_subcommand = true,
    args_override_self = true
)]
pub struct Cli {
    /// What to wait for, e.g. postgres://app@db/app#timeout=30s
    ///
    /// Where none is given, AFTERALL_DEPENDENCIES is read: declarations as shell words.
    #[arg(value_name = "DEPENDENCY")]
    pub dependencies: Vec<OsString>,

    /// What to become when all is ready; without it, exit 0
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,

    /// How long each dependency may take; 0 = one attempt; never [default: 60s]
    #[arg(short, long, value_name = "DURATION", env = "AFTERALL_TIMEOUT", hide_env_values = true)]
    pub timeout: Option<String>,

    /// Bound on one attempt: resolve, connect, TLS, protocol, all of it [default: 5s]
    #[arg(long, value_name = "DURATION", env = "AFTERALL_ATTEMPT_TIMEOUT", hide_env_values = true)]
    pub attempt_timeout: Option<String>,

    /// Shortest pause between attempts [default: 10ms on this machine, 50ms elsewhere]
    #[arg(long, value_name = "DURATION", env = "AFTERALL_INTERVAL", hide_env_values = true)]
    pub interval: Option<String>,

    /// Longest pause between attempts [default: 1s]
    #[arg(long, value_name = "DURATION", env = "AFTERALL_MAX_INTERVAL", hide_env_values = true)]
    pub max_interval: Option<String>,

    /// How pauses grow: adaptive, linear, exponential, constant [default: adaptive]
    #[arg(long, value_name = "HOW", env = "AFTERALL_BACKOFF", hide_env_values = true)]
    pub backoff: Option<String>,

    /// Random part by which a pause is shortened [default: 10%]
    #[arg(long, value_name = "PERCENT", env = "AFTERALL_JITTER", hide_env_values = true)]
    pub jitter: Option<String>,

    /// Consecutive successes wanted, max-interval apart [default: 1]
    #[arg(long, value_name = "N", env = "AFTERALL_SUCCESSES", hide_env_values = true)]
    pub successes: Option<String>,

    /// fail, or proceed: one warning, then go on (after a timeout only) [default: fail]
    #[arg(long, value_name = "WHAT", env = "AFTERALL_ON_TIMEOUT", hide_env_values = true)]
    pub on_timeout: Option<String>,

    /// Failure classes that end the wait at once, e.g. auth+tls
    #[arg(long, value_name = "CLASSES", env = "AFTERALL_FAIL_FAST", hide_env_values = true)]
    pub fail_fast: Option<String>,

    /// ready, or down: refused, unreachable, no such name or file [default: ready]
    #[arg(long, value_name = "STATE", env = "AFTERALL_UNTIL", hide_env_values = true)]
    pub until: Option<String>,

    /// A timeout of everything that still waits
    #[arg(long, value_name = "DURATION", env = "AFTERALL_DEADLINE", hide_env_values = true)]
    pub deadline: Option<String>,

    /// One attempt each, now, and a table on stdout; exit 0 or 69
    #[arg(long, env = "AFTERALL_ONCE", hide_env_values = true, value_parser = FalseyValueParser::new())]
    pub once: bool,

    /// A TOML file with options and [dependency.NAME] tables
    #[arg(short, long, value_name = "FILE", env = "AFTERALL_CONFIG", hide_env_values = true)]
    pub config: Option<String>,

    /// Print what would be waited for, and how, on stdout; exit 0 or 64
    #[arg(long)]
    pub print_plan: bool,

    /// Go on where nothing is declared to wait for
    #[arg(long, env = "AFTERALL_ALLOW_EMPTY", hide_env_values = true, value_parser = FalseyValueParser::new())]
    pub allow_empty: bool,

    /// How the wait is shown: auto, live, plain, json [default: auto]
    #[arg(long, value_name = "FORMAT", env = "AFTERALL_FORMAT", hide_env_values = true)]
    pub format: Option<String>,

    /// Say only what fails
    #[arg(short, long, env = "AFTERALL_QUIET", hide_env_values = true, value_parser = FalseyValueParser::new())]
    pub quiet: bool,

    /// Say every attempt
    #[arg(short, long, env = "AFTERALL_VERBOSE", hide_env_values = true, value_parser = FalseyValueParser::new())]
    pub verbose: bool,

    /// The options that were given, by name and with their places: what is read instead of the fields above wherever it
    /// matters who said it.
    #[arg(skip)]
    pub given: Vec<Given>,
}
