//! `unix:` — the server accepts a connection on a Unix socket.

use crate::{
    connect::Endpoint,
    probe::{Attempt, AttemptFuture, Probe, Verdict},
    spec::{ConfigError, Grammar, Kind, Spec},
};

/// The kind.
pub static KIND: Kind = Kind {
    name: "unix",
    schemes: &["unix"],
    grammar: Grammar::AsWritten,
    usage: "unix:PATH, unix:@ABSTRACT",
    summary: "a connection is accepted",
    keys: &[],
    build,
    ..Kind::DEFAULT
};

struct Unix {
    endpoint: Endpoint,
}

/// The longest path that the kernel accepts, in bytes (unix(7)).
const LONGEST: usize = 107;

fn build(spec: &Spec) -> Result<Box<dyn Probe>, ConfigError> {
    spec.check_unexpanded()?;
    let rest = spec.rest.expanded();
    if rest.starts_with("//") && !rest.starts_with("///") {
        return Err(
            spec.error("unix: takes a path as written (unix:/run/x.sock, unix:@x), not a host")
        );
    }
    let path = super::file::path_of(&rest).to_string_lossy().into_owned();
    if path.is_empty() || path == "@" {
        return Err(spec.error("unix: needs a path, e.g. unix:/run/app.sock"));
    }
    // redis-py and ioredis write the database of a Redis there.
    if path.split_once('?').is_some_and(|(_, query)| query.contains('=')) {
        return Err(spec.error(
            "unix: takes a path as written, without options; a Redis is \
            redis+unix:///run/redis.sock?db=0",
        ));
    }
    if path.len() > LONGEST {
        return Err(
            spec.error(format_args!("the path of a Unix socket has at most {LONGEST} bytes"))
        );
    }
    Ok(Box::new(Unix { endpoint: Endpoint::Unix(path) }))
}

impl Probe for Unix {
    fn attempt<'a>(&'a mut self, attempt: &'a Attempt<'a>) -> AttemptFuture<'a> {
        Box::pin(async {
            match attempt.connect(&self.endpoint).await {
                Ok(_) => Verdict::ready("accepts connections"),
                Err(failure) => failure.verdict(),
            }
        })
    }

    fn is_local(&self) -> bool {
        true
    }
}
