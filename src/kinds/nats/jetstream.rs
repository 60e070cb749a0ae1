//! JetStream: whether it serves, and whether a stream is there. One request over the connection that just logged in.

use serde_json::Value;

use super::{
    failure,
    info::Info,
    wire::{Op, Wire},
};
use crate::{
    probe::{Class, Failure},
    spec::{ConfigError, Spec},
};

/// What is asked of JetStream.
pub(super) enum Wanted {
    /// That it serves our account.
    Service,
    /// That it has this stream.
    Stream(String),
}

impl Wanted {
    /// Reads the keys `jetstream` and `stream`.
    pub(super) fn from_spec(spec: &Spec) -> Result<Option<Self>, ConfigError> {
        let service = spec.flag("jetstream")?.then_some(Self::Service);
        let Some(name) = spec.key("stream") else { return Ok(service) };
        // The name becomes one token of a subject: NATS architecture decision record 6.
        let is_odd = |c: char| c.is_whitespace() || c.is_control() || ".*>/\\".contains(c);
        if name.is_empty() || name.contains(is_odd) {
            return Err(spec
                .key_error("stream", "not a stream's name: no spaces, dots, *, >, / or \\ in it"));
        }
        Ok(Some(Self::Stream(name.to_owned())))
    }

    fn subject(&self) -> String {
        match self {
            Self::Service => "$JS.API.INFO".to_owned(),
            Self::Stream(name) => format!("$JS.API.STREAM.INFO.{name}"),
        }
    }

    /// How success and failure are told.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Service => "JetStream".to_owned(),
            Self::Stream(name) => format!("stream {name}"),
        }
    }

    /// Asks, and takes the one answer.
    pub(super) async fn ask(&self, wire: &mut Wire<'_>, info: &Info) -> Result<(), Failure> {
        let inbox = format!("_INBOX.afterall.{:016x}", fastrand::u64(..));
        let request = format!("SUB {inbox} 1\r\nPUB {} {inbox} 0\r\n\r\n", self.subject());
        wire.send(request.as_bytes()).await?;
        loop {
            match wire.next().await? {
                Op::Message { status, payload } => return self.judge(status, &payload, info),
                Op::Ping => wire.send(b"PONG\r\n").await?,
                Op::Info(_) | Op::Pong | Op::Ok => {}
            }
        }
    }

    fn judge(&self, status: Option<u16>, payload: &[u8], info: &Info) -> Result<(), Failure> {
        let what = self.shown();
        match status {
            // Nobody listens on the subject: JetStream is off, or has not come up yet.
            Some(503) if info.jetstream => {
                Err(Failure::new(Class::Busy, "JetStream does not answer yet (503 no responders)"))
            }
            Some(503) => {
                Err(Failure::new(Class::Absent, "JetStream is not enabled (503 no responders)"))
            }
            Some(code) if code >= 400 => Err(failure::of_jetstream(code.into(), "", &what)),
            _ => match serde_json::from_slice::<Value>(payload) {
                Ok(answer) if answer["error"].is_object() => {
                    let error = &answer["error"];
                    let description = error["description"].as_str().unwrap_or_default();
                    Err(failure::of_jetstream(
                        error["code"].as_u64().unwrap_or_default(),
                        description,
                        &what,
                    ))
                }
                Ok(answer) if answer.is_object() => Ok(()),
                _ => Err(Failure::new(Class::Protocol, "JetStream answers no JSON")),
            },
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_judged_by_its_status_and_its_error() {
        let (on, off) = (Info { jetstream: true, ..Info::default() }, Info::default());
        let stream = Wanted::Stream("ORDERS".to_owned());
        for (wanted, status, payload, info, want) in [
            (&Wanted::Service, None, r#"{"type":"x","memory":0}"#, &on, None),
            (&stream, None, r#"{"config":{"name":"ORDERS"}}"#, &on, None),
            (
                &stream,
                None,
                r#"{"error":{"code":404,"err_code":10059,"description":"stream not found"}}"#,
                &on,
                Some((Class::Absent, "stream ORDERS: 404 stream not found")),
            ),
            (
                &Wanted::Service,
                Some(503),
                "",
                &on,
                Some((Class::Busy, "JetStream does not answer yet (503 no responders)")),
            ),
            (
                &Wanted::Service,
                Some(503),
                "",
                &off,
                Some((Class::Absent, "JetStream is not enabled (503 no responders)")),
            ),
            (
                &Wanted::Service,
                None,
                "hello",
                &on,
                Some((Class::Protocol, "JetStream answers no JSON")),
            ),
        ] {
            let got = wanted
                .judge(status, payload.as_bytes(), info)
                .err()
                .map(|failure| (failure.class, failure.message));
            assert_eq!(got, want.map(|(class, message)| (class, message.to_owned())));
        }
    }
}
