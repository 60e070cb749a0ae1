//! The conditions on a response of a ready dependency: its status, and its body if a key demands
//! one.

use serde_json::Value;

use super::{answer::Answer, failure};
use crate::{
    probe::{BlockingLane, Class, Failure, Pattern, compute, json::Pointer},
    spec::{ConfigError, Spec},
    text::{one_line, quoted, strip_byte_order_mark},
};

/// The longest part of a wrong value in messages, in characters.
const SHOWN: usize = 100;

/// The largest JSON value that can be compared, in bytes of its text.
const MAX_VALUE: usize = 64 * 1024;

/// The declared conditions on a response.
pub(super) struct Expect {
    statuses: Statuses,
    body: BodyCheck,
    /// The search runs on its own thread, because a large body would block the runtime too long.
    lane: BlockingLane,
}

/// The declared conditions on a body.
#[derive(Clone)]
struct BodyCheck {
    pattern: Option<Pattern>,
    json: Option<Json>,
}

impl Expect {
    /// Reads the keys `status`, `match` and `json`.
    pub(super) fn from_spec(spec: &Spec) -> Result<Self, ConfigError> {
        let statuses = match spec.list("status") {
            Some(items) => {
                Statuses::parse(items).map_err(|message| spec.key_error("status", message))?
            }
            None => Statuses(vec![(200, 299)]),
        };
        let pattern = spec.key("match").map(Pattern::parse).transpose();
        let pattern = pattern.map_err(|message| spec.key_error("match", message))?;
        let json = spec
            .key("json")
            .map(Json::parse)
            .transpose()
            .map_err(|message| spec.key_error("json", message))?;
        let body = BodyCheck { pattern, json };
        Ok(Self { statuses, body, lane: BlockingLane::default() })
    }

    /// Returns true if the body must be checked if the status is right.
    pub(super) fn needs_body(&self) -> bool {
        self.body.pattern.is_some() || self.body.json.is_some()
    }

    /// Returns true if the status is an expected one.
    pub(super) fn wants(&self, status: u16) -> bool {
        self.statuses.contain(status)
    }

    /// Returns the status as detail of a ready dependency, or the failure. `credentials` is true if
    /// any were sent.
    pub(super) async fn judge(
        &self,
        answer: &Answer,
        credentials: bool,
    ) -> Result<String, Failure> {
        let status = failure::shown(answer.status);
        if !self.wants(answer.status.as_u16()) {
            return Err(failure::status_failure(answer, &self.statuses.to_string(), credentials));
        }
        if self.needs_body() {
            let (check, body, cut) = (self.body.clone(), answer.body.clone(), answer.cut);
            let check = move || check.check(&body, cut);
            // A search may take seconds; to read JSON takes milliseconds.
            let checked = match self.body.pattern {
                Some(_) => self.lane.run(check).await?,
                None => compute(answer.body.len(), check).await?,
            };
            checked.map_err(|message| {
                Failure::new(Class::Absent, format!("{status}, but {message}"))
            })?;
        }
        Ok(status)
    }
}

impl BodyCheck {
    /// Checks a body. `cut`: the body is longer. A pattern may take seconds for a large body.
    fn check(&self, body: &[u8], cut: bool) -> Result<(), String> {
        // RFC 8259, section 8.1: a parser may ignore a byte order mark.
        let body = strip_byte_order_mark(body);
        if let Some(pattern) = &self.pattern
            && !pattern.is_match(body)
        {
            let part = if cut { "the first MiB of the body" } else { "the body" };
            if is_gzip(body) {
                return Err(COMPRESSED.to_owned());
            }
            let begins = quoted(body).map(|line| format!(", it begins with: {line}"));
            return Err(format!("{part} does not match{}", begins.unwrap_or_default()));
        }
        match &self.json {
            Some(_) if cut => Err("the body is larger than 1 MiB".to_owned()),
            Some(json) => json.check(body),
            None => Ok(()),
        }
    }
}

/// A set of statuses, as inclusive ranges.
struct Statuses(Vec<(u16, u16)>);

impl Statuses {
    fn parse(items: &[String]) -> Result<Self, String> {
        items.iter().map(|item| Self::range(item)).collect::<Option<Vec<_>>>().map(Self).ok_or_else(
            || {
                "must be statuses, ranges or classes of them, joined by +, e.g. 200+204, 200-299, \
                2xx"
                .to_owned()
            },
        )
    }

    fn range(item: &str) -> Option<(u16, u16)> {
        let status = |text: &str| {
            text.parse::<u16>()
                .ok()
                .filter(|status| text.len() == 3 && (100..=999).contains(status))
        };
        let range = match (item.strip_suffix("xx"), item.split_once('-')) {
            (Some(class), _) => {
                let class = class.parse::<u16>().ok().filter(|class| (1..=9).contains(class))?;
                (class * 100, class * 100 + 99)
            }
            (None, Some((from, to))) => (status(from)?, status(to)?),
            (None, None) => (status(item)?, status(item)?),
        };
        (range.0 <= range.1).then_some(range)
    }

    fn contain(&self, status: u16) -> bool {
        self.0.iter().any(|(from, to)| (*from..=*to).contains(&status))
    }
}

impl std::fmt::Display for Statuses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (n, (from, to)) in self.0.iter().enumerate() {
            let joint = if n == 0 { "" } else { " or " };
            if from == to {
                write!(f, "{joint}{from}")?;
            } else {
                write!(f, "{joint}{from}-{to}")?;
            }
        }
        Ok(())
    }
}

/// The fault of a body that the server compressed although the request does not ask for it.
const COMPRESSED: &str = "the body is compressed by gzip, which nobody asked for";

/// Returns true if a body begins with the magic number of gzip (RFC 1952, section 2.3.1).
fn is_gzip(body: &[u8]) -> bool {
    body.starts_with(&[0x1f, 0x8b])
}

/// A place in a JSON body, and the required value.
#[derive(Clone)]
struct Json {
    /// The pointer as declared.
    shown: String,
    pointer: Pointer,
    /// `None`: any value but `false` and `null`.
    wanted: Option<Value>,
}

impl Json {
    /// Reads `POINTER` or `POINTER==VALUE`. A value that is not JSON is a string.
    fn parse(text: &str) -> Result<Self, String> {
        let (shown, wanted) = match text.split_once("==") {
            Some((pointer, wanted)) => (pointer, Some(wanted)),
            None => (text, None),
        };
        let pointer = Pointer::parse(shown).filter(|_| !shown.is_empty() || wanted.is_some());
        let pointer = pointer.ok_or(
            "must be a JSON pointer, alone or with a value, e.g. /status==UP, /checks/0/ready",
        )?;
        let wanted = wanted
            .map(|wanted| serde_json::from_str(wanted).unwrap_or_else(|_| Value::from(wanted)));
        Ok(Self { shown: shown.to_owned(), pointer, wanted })
    }

    fn check(&self, body: &[u8]) -> Result<(), String> {
        let shown = &self.shown;
        let found = self.pointer.find(body).map_err(|_| {
            if is_gzip(body) { COMPRESSED.to_owned() } else { "the body is not JSON".to_owned() }
        })?;
        let Some(raw) = found else { return Err(format!("the body has no {shown}")) };
        if raw.len() > MAX_VALUE {
            return match &self.wanted {
                Some(_) => Err(format!("{shown} is larger than 64 KiB")),
                None => Ok(()),
            };
        }
        // E.g. nested too deeply, or a number that is too large.
        let found: Value = serde_json::from_str(raw)
            .map_err(|error| format!("{shown} cannot be read: {error}"))?;
        match &self.wanted {
            Some(wanted) if equal(&found, wanted) => Ok(()),
            Some(wanted) => {
                let (found, wanted) =
                    (one_line(&found.to_string(), SHOWN), one_line(&wanted.to_string(), SHOWN));
                Err(format!("{shown} is {found}, wanted {wanted}"))
            }
            None if matches!(found, Value::Null | Value::Bool(false)) => {
                Err(format!("{shown} is {found}"))
            }
            None => Ok(()),
        }
    }
}

/// Returns true if two values are equal. Numbers compare by value: 1 equals 1.0.
///
/// Two different integers may be the same as floating point numbers, so integers compare as such.
fn equal(a: &Value, b: &Value) -> bool {
    let is_integer = |value: &Value| value.is_i64() || value.is_u64();
    let are_integers = is_integer(a) && is_integer(b);
    a == b || !are_integers && matches!((a.as_f64(), b.as_f64()), (Some(a), Some(b)) if a == b)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_read_and_shown() {
        for (text, want) in [
            ("200", Some("200")),
            ("200+204", Some("200 or 204")),
            ("2xx+301-308", Some("200-299 or 301-308")),
            ("20", None),
            ("2x", None),
            ("0xx", None),
            ("299-200", None),
            ("200,204", None),
            ("", None),
        ] {
            let items: Vec<String> = text.split('+').map(str::to_owned).collect();
            assert_eq!(
                Statuses::parse(&items).ok().map(|set| set.to_string()).as_deref(),
                want,
                "{text}"
            );
        }
        let set = Statuses::parse(&["2xx".to_owned(), "404".to_owned()]).unwrap();
        assert!(set.contain(200) && set.contain(299) && set.contain(404) && !set.contain(300));
    }

    #[test]
    fn a_value_in_a_json_body_is_compared_and_shown() {
        let body = br#"{"status":"UP","n":1,"a/b":[true,null,false],"version":"1.0",
            "id":9007199254740993}"#;
        for (text, want) in [
            ("/status", Ok(())),
            ("/status==UP", Ok(())),
            (r#"/status=="UP""#, Ok(())),
            ("/n==1.0", Ok(())),
            ("/id==9007199254740993", Ok(())),
            ("/id==9007199254740992", Err("/id is 9007199254740993, wanted 9007199254740992")),
            ("/a~1b/0==true", Ok(())),
            ("/a~1b/1", Err("/a~1b/1 is null")),
            ("/a~1b/2", Err("/a~1b/2 is false")),
            ("/a~1b/1==null", Ok(())),
            ("/status==DOWN", Err(r#"/status is "UP", wanted "DOWN""#)),
            ("/version==1.0", Err(r#"/version is "1.0", wanted 1.0"#)),
            ("/none", Err("the body has no /none")),
        ] {
            assert_eq!(
                Json::parse(text).unwrap().check(body),
                want.map_err(str::to_owned),
                "{text}"
            );
        }
        let large = format!(r#"{{"a":[{}0]}}"#, "0,".repeat(500_000));
        let check = |text| Json::parse(text).unwrap().check(large.as_bytes());
        assert_eq!((check("/a"), check("/a/499999")), (Ok(()), Ok(())));
        assert_eq!(check("/a==1"), Err("/a is larger than 64 KiB".to_owned()));
        let check = |pattern: Option<&str>, json: Option<&str>, body: &[u8]| {
            let pattern = pattern.map(|text| Pattern::parse(text).unwrap());
            let json = json.map(|text| Json::parse(text).unwrap());
            BodyCheck { pattern, json }.check(body, false)
        };
        for (pattern, json) in [(Some("ready"), None), (None, Some("/a"))] {
            assert_eq!(check(pattern, json, b"\x1f\x8b\x08"), Err(COMPRESSED.to_owned()));
        }
        assert_eq!(check(Some("^.\"a"), Some("/a==1"), b"\xef\xbb\xbf{\"a\":1}"), Ok(()));
        let large = Json::parse("/a").unwrap().check(br#"{"a":1e999}"#).unwrap_err();
        assert!(large.starts_with("/a cannot be read: number out of range"), "{large}");
        let gzip = Err("the body is compressed by gzip, which nobody asked for".to_owned());
        assert_eq!(Json::parse("/a").unwrap().check(b"\x1f\x8b\x08"), gzip);
        for wrong in ["status", "", "/~2", "==x/"] {
            assert_eq!(Json::parse(wrong).is_err(), wrong != "==x/", "{wrong}");
        }
    }
}
