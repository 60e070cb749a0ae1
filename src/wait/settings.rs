//! The keys that every dependency has: their names, defaults and meanings, and how their values are
//! read.

use std::time::Duration;

use crate::spec::Kind;
use crate::{
    probe::Class,
    spec::{Key, KeyValue},
    text::nearest,
};

/// How long a dependency may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// One attempt.
    Once,
    /// So long from its start.
    After(Duration),
    /// As long as it takes.
    Never,
}

/// How pauses grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backoff {
    /// Grows with the length of the wait and with the cost of an attempt.
    Adaptive,
    /// Interval times consecutive failures.
    Linear,
    /// Twice the pause before.
    Exponential,
    /// The interval.
    Constant,
}

/// The reaction to a dependency that is not ready in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnTimeout {
    /// The wait ends.
    Fail,
    /// One warning, then the wait goes on without it.
    Proceed,
}

/// The state that is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// The dependency is ready.
    Ready,
    /// The dependency is gone.
    Down,
}

/// The settings of one dependency.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How long it may take.
    pub timeout: Timeout,
    /// Bound on one attempt, all of it.
    pub attempt_timeout: Duration,
    /// Shortest pause; by default it depends on where the target is.
    pub interval: Option<Duration>,
    /// Longest pause.
    pub max_interval: Duration,
    /// How pauses grow.
    pub backoff: Backoff,
    /// Random part by which a pause is shortened, from 0 to 1.
    pub jitter: f64,
    /// Consecutive successes wanted.
    pub successes: u32,
    /// The reaction to a timeout.
    pub on_timeout: OnTimeout,
    /// Classes that end the wait at once.
    pub fail_fast: Vec<Class>,
    /// The state that is waited for.
    pub until: Until,
    /// The dependencies that come first, by name.
    pub after: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            timeout: Timeout::After(Duration::from_secs(60)),
            attempt_timeout: Duration::from_secs(5),
            interval: None,
            max_interval: Duration::from_secs(1),
            backoff: Backoff::Adaptive,
            jitter: 0.1,
            successes: 1,
            on_timeout: OnTimeout::Fail,
            fail_fast: Vec::new(),
            until: Until::Ready,
            after: Vec::new(),
        }
    }
}

/// A common key: how it is shown, and how its value is taken in.
pub struct Common {
    /// Name, value and meaning.
    pub key: Key,
    /// Reads a value into the settings.
    pub set: fn(&mut Settings, &KeyValue) -> Result<(), String>,
    /// Its value as it would be written; empty where there is none.
    pub show: fn(&Settings) -> String,
}

impl Common {
    /// The default as it would be written; empty where there is none.
    pub fn default(&self) -> String {
        (self.show)(&Settings::default())
    }
}

/// The common key of this name.
pub fn common(name: &str) -> Option<&'static Common> {
    COMMON.iter().find(|common| common.key.name == name)
}

/// The default of `interval` depends on where the target is.
const INTERVAL: &str = "10ms on this machine, 50ms elsewhere";

/// Every common key, in the order of the documentation.
pub static COMMON: &[Common] = &[
    Common {
        key: Key {
            name: "timeout",
            value: "DURATION",
            help: "how long a dependency may take; 0 = one attempt; never",
        },
        set: |s, v| set(&mut s.timeout, timeout(&v.value)),
        show: |s| match s.timeout {
            Timeout::Once => "0".to_owned(),
            Timeout::After(timeout) => format_duration(timeout),
            Timeout::Never => "never".to_owned(),
        },
    },
    Common {
        key: Key {
            name: "attempt-timeout",
            value: "DURATION",
            help: "bound on one attempt: resolve, connect, TLS, protocol, all of it",
        },
        set: |s, v| set(&mut s.attempt_timeout, positive(&v.value)),
        show: |s| format_duration(s.attempt_timeout),
    },
    Common {
        key: Key { name: "interval", value: "DURATION", help: "shortest pause between attempts" },
        set: |s, v| set(&mut s.interval, positive(&v.value).map(Some)),
        show: |s| s.interval.map_or(INTERVAL.to_owned(), format_duration),
    },
    Common {
        key: Key {
            name: "max-interval",
            value: "DURATION",
            help: "longest pause between attempts",
        },
        set: |s, v| set(&mut s.max_interval, positive(&v.value)),
        show: |s| format_duration(s.max_interval),
    },
    Common {
        key: Key {
            name: "backoff",
            value: "HOW",
            help: "how pauses grow: adaptive, linear, exponential, constant",
        },
        set: |s, v| set(&mut s.backoff, parse_choice(&v.value, BACKOFFS)),
        show: |s| name_of(s.backoff, BACKOFFS),
    },
    Common {
        key: Key {
            name: "jitter",
            value: "PERCENT",
            help: "random part by which a pause is shortened",
        },
        set: |s, v| set(&mut s.jitter, percent(&v.value)),
        show: |s| format!("{}%", s.jitter * 100.0),
    },
    Common {
        key: Key {
            name: "successes",
            value: "N",
            help: "consecutive successes wanted, max-interval apart",
        },
        set: |s, v| set(&mut s.successes, count(&v.value)),
        show: |s| s.successes.to_string(),
    },
    Common {
        key: Key {
            name: "on-timeout",
            value: "WHAT",
            help: "fail, or proceed: one warning, then go on (after a timeout only)",
        },
        set: |s, v| set(&mut s.on_timeout, parse_choice(&v.value, ON_TIMEOUTS)),
        show: |s| name_of(s.on_timeout, ON_TIMEOUTS),
    },
    Common {
        key: Key {
            name: "fail-fast",
            value: "CLASS+CLASS",
            help: "failure classes that end the wait at once",
        },
        set: |s, v| set(&mut s.fail_fast, v.items.iter().map(|item| class(item)).collect()),
        show: |s| s.fail_fast.iter().map(|class| class.name()).collect::<Vec<_>>().join("+"),
    },
    Common {
        key: Key {
            name: "until",
            value: "STATE",
            help: "ready, or down: refused, unreachable, no such name or file",
        },
        set: |s, v| set(&mut s.until, parse_choice(&v.value, UNTILS)),
        show: |s| name_of(s.until, UNTILS),
    },
    Common {
        key: Key {
            name: "after",
            value: "NAME+NAME",
            help: "not probed until these are ready or were proceeded past; then its clock starts",
        },
        set: |s, v| set(&mut s.after, Ok(v.items.clone())),
        show: |s| s.after.join("+"),
    },
];

const BACKOFFS: &[(&str, Backoff)] = &[
    ("adaptive", Backoff::Adaptive),
    ("linear", Backoff::Linear),
    ("exponential", Backoff::Exponential),
    ("constant", Backoff::Constant),
];
const ON_TIMEOUTS: &[(&str, OnTimeout)] =
    &[("fail", OnTimeout::Fail), ("proceed", OnTimeout::Proceed)];
const UNTILS: &[(&str, Until)] = &[("ready", Until::Ready), ("down", Until::Down)];

/// The words that a common key takes, where they can be listed: for completions and the manual.
#[allow(dead_code, reason = "the tests write completions and the manual from it")]
pub fn choices(key: &str) -> Vec<&'static str> {
    fn words<T>(choices: &[(&'static str, T)]) -> Vec<&'static str> {
        choices.iter().map(|(name, _)| *name).collect()
    }
    match key {
        "backoff" => words(BACKOFFS),
        "on-timeout" => words(ON_TIMEOUTS),
        "fail-fast" => Class::ALL.map(Class::name).to_vec(),
        "until" => words(UNTILS),
        _ => Vec::new(),
    }
}

/// Durations over this are a mistake for `never`.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// The keys that [`Settings::check`] compares.
pub const PAUSES: [&str; 2] = ["interval", "max-interval"];

impl Settings {
    /// Checks the keys that only together can be wrong. `last` is the one of [`PAUSES`] that was
    /// set last.
    ///
    /// # Errors
    /// What must be of `last`.
    pub fn check(&self, last: &str) -> Result<(), String> {
        let Some(interval) = self.interval.filter(|interval| *interval > self.max_interval) else {
            return Ok(());
        };
        Err(match last {
            "max-interval" => {
                format!("must not be shorter than interval, which is {}", format_duration(interval))
            }
            _ => format!(
                "must not be longer than max-interval, which is {}",
                format_duration(self.max_interval)
            ),
        })
    }
}

fn name_of<T: PartialEq>(choice: T, choices: &[(&str, T)]) -> String {
    choices
        .iter()
        .find(|(_, known)| *known == choice)
        .map(|(name, _)| (*name).to_owned())
        .unwrap_or_default()
}

/// A duration as it would be written.
pub fn format_duration(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

fn set<T>(field: &mut T, value: Result<T, String>) -> Result<(), String> {
    value.map(|value| *field = value)
}

const NO_DURATION: &str = "must be a duration, e.g. 30s, 2m, 500ms";

/// A duration as `humantime` reads it; a bare number is seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    duration_or(text, NO_DURATION, "must be at most 7 days")
}

/// Parses a duration; `wrong` and `too_long` are the error texts.
fn duration_or(text: &str, wrong: &str, too_long: &str) -> Result<Duration, String> {
    let wrong = || wrong.to_owned();
    let text = text.trim();
    let bare = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '.');
    let duration = if bare {
        let seconds = text.parse::<f64>().map_err(|_| wrong())?;
        Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?
    } else {
        humantime::parse_duration(text).map_err(|_| wrong())?
    };
    if duration > LONGEST {
        return Err(too_long.to_owned());
    }
    Ok(duration)
}

/// A duration or `never`; nothing at all means one attempt.
pub fn timeout(text: &str) -> Result<Timeout, String> {
    if text == "never" {
        return Ok(Timeout::Never);
    }
    let wrong = "must be a duration, 0 or never, e.g. 30s, 2m";
    let duration = duration_or(text, wrong, "must be at most 7 days; for no limit write never")?;
    Ok(if duration.is_zero() { Timeout::Once } else { Timeout::After(duration) })
}

fn positive(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        duration if duration < Duration::from_millis(1) => Err("must be at least 1ms".to_owned()),
        duration => Ok(duration),
    }
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).parse::<f64>();
    match number {
        Ok(number) if (0.0..=100.0).contains(&number) && (text.ends_with('%') || number == 0.0) => {
            Ok(number / 100.0)
        }
        _ => Err("must be a percentage from 0% to 100%, e.g. 10%".to_owned()),
    }
}

fn count(text: &str) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|n| (1..=1000).contains(n))
        .ok_or_else(|| "must be a number from 1 to 1000".to_owned())
}

fn class(text: &str) -> Result<Class, String> {
    if text.contains(',') {
        return Err("must join the classes of failure by +, e.g. auth+tls".to_owned());
    }
    Class::ALL.into_iter().find(|class| class.name() == text).ok_or_else(|| {
        let names = Class::ALL.map(Class::name);
        match nearest(text, names) {
            Some(name) => format!("must list classes of failure; did you mean {name}?"),
            None => format!("must list classes of failure: {}", names.join(", ")),
        }
    })
}

fn parse_choice<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let found = choices.iter().find(|(name, _)| *name == text).map(|(_, choice)| *choice);
    found.ok_or_else(|| {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        format!("must be one of {}", names.join(", "))
    })
}

/// The error for a key that neither every dependency nor this kind has.
pub fn unknown_key(kind: &Kind, key: &str) -> String {
    let known =
        || COMMON.iter().map(|common| common.key.name).chain(kind.own_keys().map(|own| own.name));
    match nearest(key, known()) {
        Some(near) => format!("unknown key {key}, did you mean {near}?"),
        None => format!(
            "unknown key {key}; {} takes {}",
            kind.name,
            known().collect::<Vec<_>>().join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, want) in [
            ("30", Ok(30_000)),
            ("0.5", Ok(500)),
            ("500ms", Ok(500)),
            ("1m 30s", Ok(90_000)),
            ("7days", Ok(604_800_000)),
            ("8days", Err("must be at most 7 days")),
            ("99999999999999999999", Err(NO_DURATION)),
            ("1.2.3", Err(NO_DURATION)),
            ("", Err(NO_DURATION)),
            ("-1s", Err(NO_DURATION)),
            ("soon", Err(NO_DURATION)),
        ] {
            assert_eq!(
                duration(text).map(|d| d.as_millis()),
                want.map_err(str::to_owned),
                "{text}"
            );
        }
    }

    fn set(settings: &mut Settings, key: &str, value: &str) -> Result<(), String> {
        (common(key).unwrap().set)(settings, &KeyValue::literal(key, value))
    }

    #[test]
    fn every_shown_value_can_be_written() {
        for common in COMMON.iter().filter(|common| common.key.name != "interval") {
            let mut settings = Settings::default();
            let shown = common.default();
            if !shown.is_empty() {
                set(&mut settings, common.key.name, &shown).unwrap();
            }
            assert_eq!(settings, Settings::default(), "{}", common.key.name);
        }
    }

    #[test]
    fn the_bounds_of_a_value_are_inclusive() {
        let mut settings = Settings::default();
        for (key, value) in [
            ("interval", "1ms"),
            ("jitter", "0"),
            ("jitter", "100%"),
            ("successes", "1000"),
            ("timeout", "7days"),
        ] {
            assert_eq!(set(&mut settings, key, value), Ok(()), "{key}={value}");
        }
        assert_eq!(settings.interval, Some(Duration::from_millis(1)));
    }

    #[test]
    fn a_wrong_value_gets_an_example() {
        let mut settings = Settings::default();
        for (key, value, want) in [
            ("timeout", "x", "must be a duration, 0 or never, e.g. 30s, 2m"),
            ("timeout", "8days", "must be at most 7 days; for no limit write never"),
            ("attempt-timeout", "8days", "must be at most 7 days"),
            ("attempt-timeout", "0", "must be at least 1ms"),
            ("backoff", "fast", "must be one of adaptive, linear, exponential, constant"),
            ("jitter", "10", "must be a percentage from 0% to 100%, e.g. 10%"),
            ("jitter", "101%", "must be a percentage from 0% to 100%, e.g. 10%"),
            ("successes", "0", "must be a number from 1 to 1000"),
            ("fail-fast", "auth+tsl", "must list classes of failure; did you mean tls?"),
            ("fail-fast", "auth,tls", "must join the classes of failure by +, e.g. auth+tls"),
            ("until", "up", "must be one of ready, down"),
        ] {
            assert_eq!(set(&mut settings, key, value).unwrap_err(), want, "{key}={value}");
        }
    }
}
