//! Checks that JetStream serves and that a stream accepts messages, on the connection that just
//! logged in.

use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

use super::{
    failure,
    info::Info,
    wire::{Op, Wire},
};
use crate::{
    probe::{Attempt, Class, Cost, Failure, compute, json::Pointer},
    spec::{ConfigError, Spec},
    text::short_time,
};

/// The bound on one request. An API without a leader does not reply, and the next attempt should
/// not come too late.
const REQUEST_BOUND: Duration = Duration::from_secs(1);

/// The largest `error` or `cluster` object that is read, in bytes.
const MAX_OBJECT: usize = 64 * 1024;

/// The requests to JetStream that a declaration asks for.
#[derive(Clone, Default)]
pub(super) struct JetStream {
    requests: Vec<Request>,
    /// The prefix of subjects: `$JS.API`, or that of a domain.
    api: String,
    inbox_prefix: String,
}

/// One request to the JetStream API.
#[derive(Clone)]
enum Request {
    /// JetStream must serve the account.
    Service,
    /// This stream must accept messages.
    Stream(String),
}

impl JetStream {
    /// Reads the keys `jetstream`, `stream`, `domain` and `inbox-prefix`.
    pub(super) fn from_spec(spec: &Spec) -> Result<Self, ConfigError> {
        let mut requests = Vec::new();
        if spec.flag("jetstream")? {
            requests.push(Request::Service);
        }
        if let Some(name) = spec.key("stream") {
            // The name becomes one token of a subject: NATS architecture decision record 6.
            if !is_token(name) || name.contains(['/', '\\']) {
                let must = "must be a stream's name, e.g. ORDERS: no blanks, dots, *, >, / or \\";
                return Err(spec.key_error("stream", must));
            }
            requests.push(Request::Stream(name.to_owned()));
        }
        let domain = spec.key("domain");
        if domain.is_some_and(|domain| !is_token(domain)) {
            let must = "must be one token of a subject, e.g. hub: no blanks, dots, * or >";
            return Err(spec.key_error("domain", must));
        }
        let inbox_prefix = spec.key("inbox-prefix").map(|prefix| prefix.trim_end_matches('.'));
        if inbox_prefix.is_some_and(|prefix| !prefix.split('.').all(is_token)) {
            let must = "must be a subject without * and >, e.g. _INBOX_app";
            return Err(spec.key_error("inbox-prefix", must));
        }
        for key in ["domain", "inbox-prefix"] {
            if spec.key(key).is_some() && requests.is_empty() {
                return Err(spec.key_error(key, "needs jetstream or stream=NAME beside it"));
            }
        }
        Ok(Self {
            requests,
            api: domain.map_or("$JS.API".to_owned(), |domain| format!("$JS.{domain}.API")),
            inbox_prefix: inbox_prefix.unwrap_or("_INBOX").to_owned(),
        })
    }

    /// Makes every request. Returns the detail of success, e.g. `JetStream, stream ORDERS`.
    pub(super) async fn ask(
        &self,
        attempt: &Attempt<'_>,
        wire: &mut Wire<'_>,
        info: &Info,
    ) -> Result<Vec<String>, Failure> {
        let mut shown = Vec::new();
        for (number, request) in self.requests.iter().enumerate() {
            let label = request.shown();
            attempt.stage(format!("logged in, but no reply from JetStream ({label})"));
            let bound = REQUEST_BOUND.min(attempt.remaining());
            let reply = self.request(wire, number + 1, request);
            let (status, payload) = match timeout(bound, reply).await {
                Ok(reply) => reply?,
                Err(_) => {
                    let message =
                        format!("{label}: no reply from JetStream within {}", short_time(bound));
                    let failure = Failure::new(Class::Timeout, message).cost(Cost::Answer);
                    return Err(failure.hint("JetStream has no leader yet, or its server is down"));
                }
            };
            let size = payload.len();
            let (asked, request, info) = (self.clone(), request.clone(), info.clone());
            let judge = move || asked.judge(&request, status, &payload, &info);
            compute(size, judge).await??;
            shown.push(label);
        }
        Ok(shown)
    }

    /// Sends one request, and returns the status and the payload of the reply.
    async fn request(
        &self,
        wire: &mut Wire<'_>,
        subscription: usize,
        request: &Request,
    ) -> Result<(Option<u16>, Vec<u8>), Failure> {
        let inbox = format!("{}.afterall.{:016x}", self.inbox_prefix, fastrand::u64(..));
        let subject = format!("{}.{}", self.api, request.endpoint());
        let text = format!("SUB {inbox} {subscription}\r\nPUB {subject} {inbox} 0\r\n\r\n");
        wire.send(text.as_bytes()).await?;
        loop {
            match wire.next().await? {
                Op::Message { status, payload } => return Ok((status, payload.to_vec())),
                Op::Ping => wire.send(b"PONG\r\n").await?,
                Op::Info(_) | Op::Pong | Op::Ok => {}
            }
        }
    }

    fn judge(
        &self,
        request: &Request,
        status: Option<u16>,
        payload: &[u8],
        info: &Info,
    ) -> Result<(), Failure> {
        let label = request.shown();
        match status {
            // The subject has no subscriber: JetStream is off or not up yet, or the domain is not
            // connected yet.
            Some(503) if info.jetstream || self.api != "$JS.API" => {
                let message = format!("{label}: JetStream does not reply yet (503 no responders)");
                Err(Failure::new(Class::Busy, message))
            }
            Some(503) => {
                let message = "JetStream is not enabled (503 no responders)";
                Err(Failure::new(Class::Absent, message))
            }
            Some(code) if code >= 400 => Err(failure::jetstream_failure(code.into(), "", &label)),
            _ => request.judge_reply(payload),
        }
    }
}

impl Request {
    /// The part of the subject behind the API's prefix.
    fn endpoint(&self) -> String {
        match self {
            Self::Service => "INFO".to_owned(),
            Self::Stream(name) => format!("STREAM.INFO.{name}"),
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Service => "JetStream".to_owned(),
            Self::Stream(name) => format!("stream {name}"),
        }
    }

    fn judge_reply(&self, payload: &[u8]) -> Result<(), Failure> {
        let label = self.shown();
        let part = |pointer: &str| {
            part_of(payload, pointer).ok_or_else(|| {
                Failure::new(
                    Class::Protocol,
                    format!("{label}: the reply of JetStream is not JSON"),
                )
            })
        };
        if !part("")?.is_object() {
            return Err(Failure::new(
                Class::Protocol,
                format!("{label}: the reply of JetStream is not an object"),
            ));
        }
        let error = part("/error")?;
        if error.is_object() {
            let description = error["description"].as_str().unwrap_or_default();
            let code = error["code"].as_u64().unwrap_or_default();
            return Err(failure::jetstream_failure(code, description, &label));
        }
        match self {
            Self::Service => Ok(()),
            Self::Stream(_) => match missing_quorum(&part("/cluster")?) {
                Some(missing) => Err(Failure::new(Class::Busy, format!("{label} {missing}"))),
                None => Ok(()),
            },
        }
    }
}

/// Returns the value at `pointer` of a reply, or `Null` if there is none. `None` means that the
/// reply is not JSON.
///
/// An object that is too large to be read counts as empty: only its type matters then.
fn part_of(payload: &[u8], pointer: &str) -> Option<Value> {
    match Pointer::parse(pointer)?.find(payload).ok()? {
        None => Some(Value::Null),
        Some(raw) if raw.len() <= MAX_OBJECT => serde_json::from_str(raw).ok(),
        Some(raw) if raw.starts_with('{') && pointer.is_empty() => {
            Some(Value::Object(serde_json::Map::new()))
        }
        Some(_) => None,
    }
}

/// Returns the reason why a stream accepts no messages, from the `cluster` object of its
/// information.
///
/// A stream replies to STREAM.INFO while its replicas elect a leader. Some versions of nats-server
/// still name a leader that is dead. Messages are stored only with a leader and a majority of
/// current replicas. A server without a cluster sends no such object.
fn missing_quorum(cluster: &Value) -> Option<String> {
    if !cluster.is_object() {
        return None;
    }
    if cluster["leader"].as_str().is_none_or(str::is_empty) {
        return Some("has no leader yet".to_owned());
    }
    // The leader is not in the list of the replicas.
    let followers = cluster["replicas"].as_array().map_or(&[][..], Vec::as_slice);
    let is_current = |follower: &&Value| {
        follower["current"].as_bool() == Some(true) && follower["offline"].as_bool() != Some(true)
    };
    let (all, current) = (followers.len() + 1, followers.iter().filter(is_current).count() + 1);
    (current * 2 <= all).then(|| format!("has {current} of {all} replicas current, no majority"))
}

/// Returns true if `text` can be one token of a subject.
fn is_token(text: &str) -> bool {
    let is_odd = |c: char| c.is_whitespace() || c.is_control() || ".*>".contains(c);
    !text.is_empty() && !text.contains(is_odd)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn judge(
        request: &Request,
        domain: bool,
        status: Option<u16>,
        payload: &str,
        jetstream: bool,
    ) -> Option<(Class, String)> {
        let api = if domain { "$JS.hub.API" } else { "$JS.API" };
        let asked = JetStream { api: api.to_owned(), ..JetStream::default() };
        let info = Info { jetstream, ..Info::default() };
        let judged = asked.judge(request, status, payload.as_bytes(), &info);
        judged.err().map(|failure| (failure.class, failure.message.to_string()))
    }

    #[test]
    fn a_reply_is_judged_by_its_status_and_its_error() {
        let stream = Request::Stream("ORDERS".to_owned());
        let service = Request::Service;
        for (request, domain, status, payload, jetstream, want) in [
            (&service, false, None, r#"{"type":"x","memory":0}"#, true, None),
            (&stream, false, None, r#"{"config":{"name":"ORDERS"}}"#, true, None),
            (
                &stream,
                false,
                None,
                r#"{"error":{"code":404,"err_code":10059,"description":"stream not found"}}"#,
                true,
                Some((Class::Absent, "stream ORDERS: 404 stream not found")),
            ),
            (
                &service,
                false,
                Some(503),
                "",
                true,
                Some((Class::Busy, "JetStream: JetStream does not reply yet (503 no responders)")),
            ),
            (
                &stream,
                true,
                Some(503),
                "",
                false,
                Some((
                    Class::Busy,
                    "stream ORDERS: JetStream does not reply yet (503 no responders)",
                )),
            ),
            (
                &service,
                false,
                Some(503),
                "",
                false,
                Some((Class::Absent, "JetStream is not enabled (503 no responders)")),
            ),
            (
                &service,
                false,
                None,
                "hello",
                true,
                Some((Class::Protocol, "JetStream: the reply of JetStream is not JSON")),
            ),
            (
                &service,
                false,
                None,
                "[]",
                true,
                Some((Class::Protocol, "JetStream: the reply of JetStream is not an object")),
            ),
        ] {
            let got = judge(request, domain, status, payload, jetstream);
            assert_eq!(got, want.map(|(class, message)| (class, message.to_owned())), "{payload}");
        }
    }

    #[test]
    fn a_stream_needs_a_leader_and_a_majority_of_current_replicas() {
        let stream = Request::Stream("S".to_owned());
        let follower = |current: bool, offline: bool| {
            format!(r#"{{"name":"n","current":{current},"offline":{offline}}}"#)
        };
        let (up, behind) = (follower(true, false), follower(false, false));
        let (offline, unset) = (follower(true, true), r#"{"name":"n"}"#.to_owned());
        let no_leader = Some("stream S has no leader yet");
        for (cluster, want) in [
            (r#"{"name":"C","leader":"n0"}"#.to_owned(), None),
            (r#"{"leader":"n0"}"#.to_owned(), None),
            (r#"{"name":"C"}"#.to_owned(), no_leader),
            (r#"{"name":"C","leader":""}"#.to_owned(), no_leader),
            (format!(r#"{{"name":"C","replicas":[{up},{up},{up}]}}"#), no_leader),
            (format!(r#"{{"leader":"n0","replicas":[{up},{behind}]}}"#), None),
            (
                format!(r#"{{"leader":"n0","replicas":[{behind},{behind}]}}"#),
                Some("stream S has 1 of 3 replicas current, no majority"),
            ),
            (
                format!(r#"{{"leader":"n0","replicas":[{offline},{unset}]}}"#),
                Some("stream S has 1 of 3 replicas current, no majority"),
            ),
            (
                format!(r#"{{"leader":"n0","replicas":[{behind}]}}"#),
                Some("stream S has 1 of 2 replicas current, no majority"),
            ),
            ("null".to_owned(), None),
        ] {
            let payload = format!(r#"{{"config":{{}},"cluster":{cluster}}}"#);
            let got = judge(&stream, false, None, &payload, true);
            assert_eq!(got, want.map(|message| (Class::Busy, message.to_owned())), "{cluster}");
        }
        // The request for the service ignores the stream's cluster.
        assert_eq!(judge(&Request::Service, false, None, r#"{"cluster":{}}"#, true), None);
    }
}
