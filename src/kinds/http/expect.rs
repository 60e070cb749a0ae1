//! What a response must be for the dependency to be ready: its status, and its body if that is asked about.

use serde_json::Value;

use super::{answer::Answer, failure};
use crate::{
    probe::{Class, Failure, Pattern},
    spec::{ConfigError, Spec},
    text::{one_line, quoted},
};

/// How much of a value that differs is shown.
const SHOWN: usize = 100;

/// What is wanted of a response.
pub(super) struct Expect {
    statuses: Statuses,
    matches: Option<Pattern>,
    json: Option<Json>,
}

impl Expect {
    /// Reads the keys `status`, `match` and `json`.
    pub(super) fn from_spec(spec: &Spec) -> Result<Self, ConfigError> {
        let statuses = match spec.list("status") {
            Some(items) => Statuses::parse(items).map_err(|what| spec.key_error("status", what))?,
            None => Statuses(vec![(200, 299)]),
        };
        let matches = spec.key("match").map(Pattern::parse).transpose();
        let matches = matches.map_err(|what| spec.key_error("match", what))?;
        let json = spec
            .key("json")
            .map(Json::parse)
            .transpose()
            .map_err(|what| spec.key_error("json", what))?;
        Ok(Self { statuses, matches, json })
    }

    /// Whether the body matters where the status is right.
    pub(super) fn needs_body(&self) -> bool {
        self.matches.is_some() || self.json.is_some()
    }

    /// Whether the status is a wanted one.
    pub(super) fn wants(&self, status: u16) -> bool {
        self.statuses.contain(status)
    }

    /// Ready with the status as detail, or why not. `credentials`: whether any were sent.
    pub(super) async fn judge(
        &self,
        answer: &Answer,
        credentials: bool,
    ) -> Result<String, Failure> {
        if !self.wants(answer.status.as_u16()) {
            return Err(failure::of_status(answer, &self.statuses.to_string(), credentials));
        }
        let absent = |what: String| {
            Failure::new(Class::Absent, format!("{}, but {what}", failure::shown(answer.status)))
        };
        if let Some(wanted) = &self.matches
            && !wanted.is_match_on_thread(answer.body.clone()).await?
        {
            let body = if answer.cut { "the first MiB of the body" } else { "the body" };
            let begins = quoted(&answer.body).map(|line| format!(", it begins with: {line}"));
            return Err(absent(format!("{body} does not match{}", begins.unwrap_or_default())));
        }
        if let Some(json) = &self.json {
            if answer.cut {
                return Err(absent("the body is larger than 1 MiB".to_owned()));
            }
            let body = serde_json::from_slice(&answer.body)
                .map_err(|_| absent("the body is not JSON".to_owned()))?;
            json.check(&body).map_err(absent)?;
        }
        Ok(failure::shown(answer.status))
    }
}

/// A set of statuses, as inclusive ranges.
struct Statuses(Vec<(u16, u16)>);

impl Statuses {
    fn parse(items: &[String]) -> Result<Self, String> {
        items.iter().map(|item| Self::range(item)).collect::<Option<Vec<_>>>().map(Self).ok_or_else(
            || {
                "is a status, a range or a class of them, joined by + (e.g. 200+204, 200-299, 2xx)"
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
            match from == to {
                true => write!(f, "{joint}{from}")?,
                false => write!(f, "{joint}{from}-{to}")?,
            }
        }
        Ok(())
    }
}

/// A place in a JSON body, and what must stand there.
struct Json {
    pointer: String,
    /// None: anything but `false` and `null`.
    wanted: Option<Value>,
}

impl Json {
    /// `POINTER` or `POINTER==VALUE`; the value is JSON if it can be read as such, a string otherwise.
    fn parse(text: &str) -> Result<Self, String> {
        let (pointer, wanted) = match text.split_once("==") {
            Some((pointer, wanted)) => (pointer, Some(wanted)),
            None => (text, None),
        };
        // RFC 6901, section 3: ~ stands before 0 or 1 only.
        let escapes = pointer.split('~').skip(1).all(|after| after.starts_with(['0', '1']));
        if !(pointer.is_empty() || pointer.starts_with('/'))
            || !escapes
            || (pointer.is_empty() && wanted.is_none())
        {
            return Err(
                "is a JSON pointer, alone or with a value (e.g. /status==UP, /checks/0/ready)"
                    .to_owned(),
            );
        }
        let wanted = wanted
            .map(|wanted| serde_json::from_str(wanted).unwrap_or_else(|_| Value::from(wanted)));
        Ok(Self { pointer: pointer.to_owned(), wanted })
    }

    fn check(&self, body: &Value) -> Result<(), String> {
        let pointer = &self.pointer;
        let Some(found) = body.pointer(pointer) else {
            return Err(format!("the body has no {pointer}"));
        };
        match &self.wanted {
            Some(wanted) if equal(found, wanted) => Ok(()),
            Some(wanted) => {
                let (found, wanted) =
                    (one_line(&found.to_string(), SHOWN), one_line(&wanted.to_string(), SHOWN));
                Err(format!("{pointer} is {found}, wanted {wanted}"))
            }
            None if matches!(found, Value::Null | Value::Bool(false)) => {
                Err(format!("{pointer} is {found}"))
            }
            None => Ok(()),
        }
    }
}

/// Numbers are equal by value: 1 is 1.0.
fn equal(a: &Value, b: &Value) -> bool {
    a == b || matches!((a.as_f64(), b.as_f64()), (Some(a), Some(b)) if a == b)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_read_and_shown_as_people_write_them() {
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
    fn a_pointer_finds_what_it_should_and_tells_what_it_found() {
        let body: Value = serde_json::from_str(
            r#"{"status":"UP","n":1,"a/b":[true,null,false],"version":"1.0"}"#,
        )
        .unwrap();
        for (text, want) in [
            ("/status", Ok(())),
            ("/status==UP", Ok(())),
            (r#"/status=="UP""#, Ok(())),
            ("/n==1.0", Ok(())),
            ("/a~1b/0==true", Ok(())),
            ("/a~1b/1", Err("/a~1b/1 is null")),
            ("/a~1b/2", Err("/a~1b/2 is false")),
            ("/a~1b/1==null", Ok(())),
            ("/status==DOWN", Err(r#"/status is "UP", wanted "DOWN""#)),
            ("/version==1.0", Err(r#"/version is "1.0", wanted 1.0"#)),
            ("/none", Err("the body has no /none")),
        ] {
            assert_eq!(
                Json::parse(text).unwrap().check(&body),
                want.map_err(str::to_owned),
                "{text}"
            );
        }
        for wrong in ["status", "", "/~2", "==x/"] {
            assert_eq!(Json::parse(wrong).is_err(), wrong != "==x/", "{wrong}");
        }
    }
}
