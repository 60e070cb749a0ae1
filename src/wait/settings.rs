//! The keys that every dependency has: their names, defaults and meanings, and how their values are read.

use std::time::Duration;

use crate::spec::Kind;
use crate::{
    probe::Class,
    spec::{ConfigError, Key, KeyValue},
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
    /// By what waiting has cost and what the other side can bear.
    Adaptive,
    /// Interval times consecutive failures.
    Linear,
    /// Twice the pause before.
    Exponential,
    /// The interval.
    Constant,
}

/// What follows when a dependency is not ready in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnTimeout {
    /// The wait ends.
    Fail,
    /// One warning, then the wait goes on without it.
    Proceed,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// That the dependency is ready.
    Ready,
    /// That it is gone.
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
    /// What follows a timeout.
    pub on_timeout: OnTimeout,
    /// Classes that end the wait at once.
    pub fail_fast: Vec<Class>,
    /// What is waited for.
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

/// A common key: how it is shown, its default as it would be written, and how its value is taken in.
pub struct Common {
    /// Name, value and meaning.
    pub key: Key,
    /// As it would be written; empty where there is none.
    pub default: &'static str,
    set: fn(&mut Settings, &KeyValue) -> Result<(), String>,
    /// Its value as it would be written; empty where there is none.
    pub show: fn(&Settings) -> String,
}

/// The default of `interval` depends on where the target is.
const INTERVAL: &str = "10ms on this machine, 50ms elsewhere";

/// Every common key, in the order of the documentation.
pub static COMMON: &[Common] = &[
    Common {
        key: Key {
            name: "timeout",
            value: "DURATION",
            help: "how long this dependency may take; 0 = one attempt; never",
        },
        default: "60s",
        set: |s, v| set(&mut s.timeout, timeout(&v.value)),
        show: |s| match s.timeout {
            Timeout::Once => "0".to_owned(),
            Timeout::After(timeout) => written(timeout),
            Timeout::Never => "never".to_owned(),
        },
    },
    Common {
        key: Key {
            name: "attempt-timeout",
            value: "DURATION",
            help: "bound on one attempt: resolve, connect, TLS, protocol, all of it",
        },
        default: "5s",
        set: |s, v| set(&mut s.attempt_timeout, positive(&v.value)),
        show: |s| written(s.attempt_timeout),
    },
    Common {
        key: Key { name: "interval", value: "DURATION", help: "shortest pause between attempts" },
        default: INTERVAL,
        set: |s, v| set(&mut s.interval, positive(&v.value).map(Some)),
        show: |s| s.interval.map_or(INTERVAL.to_owned(), written),
    },
    Common {
        key: Key {
            name: "max-interval",
            value: "DURATION",
            help: "longest pause between attempts",
        },
        default: "1s",
        set: |s, v| set(&mut s.max_interval, positive(&v.value)),
        show: |s| written(s.max_interval),
    },
    Common {
        key: Key {
            name: "backoff",
            value: "HOW",
            help: "how pauses grow: adaptive, linear, exponential, constant",
        },
        default: "adaptive",
        set: |s, v| set(&mut s.backoff, one_of(&v.value, BACKOFFS)),
        show: |s| word(s.backoff, BACKOFFS),
    },
    Common {
        key: Key {
            name: "jitter",
            value: "PERCENT",
            help: "random part by which a pause is shortened",
        },
        default: "10%",
        set: |s, v| set(&mut s.jitter, percent(&v.value)),
        show: |s| format!("{}%", s.jitter * 100.0),
    },
    Common {
        key: Key {
            name: "successes",
            value: "N",
            help: "consecutive successes wanted, max-interval apart",
        },
        default: "1",
        set: |s, v| set(&mut s.successes, count(&v.value)),
        show: |s| s.successes.to_string(),
    },
    Common {
        key: Key {
            name: "on-timeout",
            value: "WHAT",
            help: "fail, or proceed: one warning, then go on (after a timeout only)",
        },
        default: "fail",
        set: |s, v| set(&mut s.on_timeout, one_of(&v.value, ON_TIMEOUTS)),
        show: |s| word(s.on_timeout, ON_TIMEOUTS),
    },
    Common {
        key: Key {
            name: "fail-fast",
            value: "CLASS+CLASS",
            help: "failure classes that end the wait at once",
        },
        default: "",
        set: |s, v| set(&mut s.fail_fast, v.items.iter().map(|item| class(item)).collect()),
        show: |s| s.fail_fast.iter().map(|class| class.name()).collect::<Vec<_>>().join("+"),
    },
    Common {
        key: Key {
            name: "until",
            value: "STATE",
            help: "ready, or down: refused, unreachable, no such name or file",
        },
        default: "ready",
        set: |s, v| set(&mut s.until, one_of(&v.value, UNTILS)),
        show: |s| word(s.until, UNTILS),
    },
    Common {
        key: Key {
            name: "after",
            value: "NAME+NAME",
            help: "not probed until these are ready or were proceeded past; then its clock starts",
        },
        default: "",
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

impl Settings {
    /// Takes in one common key. `Ok(false)`: it is not a common one.
    pub fn apply(&mut self, key: &KeyValue) -> Result<bool, String> {
        match COMMON.iter().find(|common| common.key.name == key.name) {
            Some(common) => (common.set)(self, key).map(|()| true),
            None => Ok(false),
        }
    }

    /// Takes in an option or its variable, which are written alike and stand at `place`. What is no key of a dependency is left.
    pub fn apply_option(
        &mut self,
        place: &str,
        name: &str,
        value: &str,
    ) -> Result<(), ConfigError> {
        let items = value.split('+').map(str::to_owned).collect();
        let key = KeyValue { name: name.to_owned(), value: value.to_owned(), items, at: None };
        self.apply(&key).map(drop).map_err(|what| ConfigError::at(place, what))
    }

    /// Checks what only together can be wrong.
    pub fn check(&self) -> Result<(), String> {
        match self.interval {
            Some(interval) if interval > self.max_interval => {
                Err("interval is longer than max-interval".to_owned())
            }
            _ => Ok(()),
        }
    }
}

fn word<T: PartialEq>(choice: T, choices: &[(&str, T)]) -> String {
    choices
        .iter()
        .find(|(_, known)| *known == choice)
        .map(|(name, _)| (*name).to_owned())
        .unwrap_or_default()
}

/// A duration as it would be written.
pub fn written(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

fn set<T>(field: &mut T, value: Result<T, String>) -> Result<(), String> {
    value.map(|value| *field = value)
}

/// A duration as `humantime` reads it; a bare number is seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    duration_or(text, "not a duration (e.g. 30s, 2m, 500ms)", "longer than 7 days")
}

/// A duration, or what is said of text that is none and of one that is too long.
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
    let wrong = "not a duration (e.g. 30s, 2m, 0 or never)";
    let duration = duration_or(text, wrong, "longer than 7 days; for no limit write never")?;
    Ok(if duration.is_zero() { Timeout::Once } else { Timeout::After(duration) })
}

fn positive(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        duration if duration < Duration::from_millis(1) => Err("shorter than 1ms".to_owned()),
        duration => Ok(duration),
    }
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).parse::<f64>();
    match number {
        Ok(number) if (0.0..=100.0).contains(&number) && (text.ends_with('%') || number == 0.0) => {
            Ok(number / 100.0)
        }
        _ => Err("not a percentage from 0% to 100%".to_owned()),
    }
}

fn count(text: &str) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|n| (1..=1000).contains(n))
        .ok_or_else(|| "not a number from 1 to 1000".to_owned())
}

fn class(text: &str) -> Result<Class, String> {
    Class::ALL.into_iter().find(|class| class.name() == text).ok_or_else(|| {
        let names = Class::ALL.map(Class::name);
        match nearest(text, names) {
            Some(name) => format!("not a class of failure; did you mean {name}?"),
            None => format!("not a class of failure; they are {}", names.join(", ")),
        }
    })
}

fn one_of<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let found = choices.iter().find(|(name, _)| *name == text).map(|(_, choice)| *choice);
    found.ok_or_else(|| {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        format!("is one of {}", names.join(", "))
    })
}

/// What to say of a key that neither every dependency nor this kind has.
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
            ("8days", Err("longer than 7 days")),
            ("99999999999999999999", Err("not a duration (e.g. 30s, 2m, 500ms)")),
            ("1.2.3", Err("not a duration (e.g. 30s, 2m, 500ms)")),
            ("", Err("not a duration (e.g. 30s, 2m, 500ms)")),
            ("-1s", Err("not a duration (e.g. 30s, 2m, 500ms)")),
            ("soon", Err("not a duration (e.g. 30s, 2m, 500ms)")),
        ] {
            assert_eq!(
                duration(text).map(|d| d.as_millis()),
                want.map_err(str::to_owned),
                "{text}"
            );
        }
    }

    #[test]
    fn every_common_key_takes_its_own_default() {
        for common in COMMON
            .iter()
            .filter(|common| !common.default.is_empty() && common.key.name != "interval")
        {
            let mut settings = Settings::default();
            settings.apply_option("", common.key.name, common.default).unwrap();
            assert_eq!(settings, Settings::default(), "{}", common.key.name);
            // What is shown is what could be written.
            let shown = (common.show)(&settings);
            settings.apply_option("", common.key.name, &shown).unwrap();
            assert_eq!(settings, Settings::default(), "{}", common.key.name);
        }
    }

    #[test]
    fn a_wrong_value_is_told_what_would_be_right() {
        let mut settings = Settings::default();
        for (key, value, want) in [
            ("timeout", "x", "--timeout: not a duration (e.g. 30s, 2m, 0 or never)"),
            ("timeout", "8days", "--timeout: longer than 7 days; for no limit write never"),
            ("attempt-timeout", "8days", "--attempt-timeout: longer than 7 days"),
            ("attempt-timeout", "0", "--attempt-timeout: shorter than 1ms"),
            ("backoff", "fast", "--backoff: is one of adaptive, linear, exponential, constant"),
            ("jitter", "10", "--jitter: not a percentage from 0% to 100%"),
            ("jitter", "101%", "--jitter: not a percentage from 0% to 100%"),
            ("successes", "0", "--successes: not a number from 1 to 1000"),
            ("fail-fast", "auth+tsl", "--fail-fast: not a class of failure; did you mean tls?"),
            ("until", "up", "--until: is one of ready, down"),
        ] {
            assert_eq!(
                settings.apply_option(&format!("--{key}"), key, value).unwrap_err().to_string(),
                want
            );
        }
    }
}
