//! Asks the servers of a target in turn, through the whole login, until one will do.

use super::{
    failure::Phase,
    login::log_in,
    session::Session,
    target::{Server, Target},
};
use crate::{
    connect::Endpoint,
    kinds::rows::Rows,
    probe::{
        Attempt, AttemptFuture, Class, Failure, ListedServer, Order, Turn, TurnFuture, Verdict,
        try_servers,
    },
};

/// A question to a server, asked once a session is open.
pub trait Question: Send {
    /// Asks the server. The session is closed afterwards, whatever the answer.
    fn ask<'a>(
        &'a mut self,
        attempt: &'a Attempt<'a>,
        session: &'a mut Session,
    ) -> AttemptFuture<'a>;

    /// Returns true if a server that takes no writes is enough.
    fn accepts_read_only(&self) -> bool {
        true
    }
}

/// One server of the list, and the session on it if it serves.
struct Candidate<'a> {
    target: &'a Target,
    server: &'a Server,
    accepts_read_only: bool,
    session: Option<Session>,
}

/// One attempt: a session on the first server that serves, then the question.
pub async fn ask(
    target: &Target,
    order: &mut Order,
    attempt: &Attempt<'_>,
    question: &mut dyn Question,
) -> Verdict {
    let accepts_read_only = question.accepts_read_only();
    let candidate = |server| Candidate { target, server, accepts_read_only, session: None };
    let mut candidates: Vec<_> = target.servers.iter().map(candidate).collect();
    let turn = try_servers(attempt, &mut candidates, order).await;
    let session = candidates.into_iter().find_map(|candidate| candidate.session);
    match (turn, session) {
        (Turn::Decides(Verdict::Ready(_)), Some(mut session)) => {
            let verdict = question.ask(attempt, &mut session).await;
            session.quit(attempt).await;
            verdict
        }
        (turn, _) => turn.verdict(),
    }
}

impl ListedServer for Candidate<'_> {
    fn ask<'a>(&'a mut self, attempt: &'a Attempt<'a>) -> TurnFuture<'a> {
        Box::pin(async { Turn::from(self.open(attempt).await) })
    }
}

impl Candidate<'_> {
    async fn open(&mut self, attempt: &Attempt<'_>) -> Verdict {
        let mut session = match log_in(attempt, self.target, self.server).await {
            Ok(session) => session,
            Err(failure) => return failure.verdict(),
        };
        attempt.stage(format!("logged in to {}, but no answer", self.server.endpoint));
        match self.serves(&mut session).await {
            Ok(()) => {
                let ready = Verdict::ready(session.product());
                self.session = Some(session);
                ready
            }
            Err(failure) => {
                session.quit(attempt).await;
                failure.verdict()
            }
        }
    }

    /// Returns `Ok` if the server serves everybody, which a login alone does not prove.
    async fn serves(&mut self, session: &mut Session) -> Result<(), Failure> {
        const VARIABLES: &str = "SHOW VARIABLES WHERE Variable_name IN \
            ('wsrep_on', 'skip_networking', 'read_only', 'super_read_only', 'offline_mode')";
        let rows = session.query(VARIABLES).await;
        let rows = rows.map_err(|error| session.failure(error, Phase::Command))?;
        let is_on = |name| value(&rows, name).is_some_and(|value| value == "ON" || value == "1");
        if matches!(self.server.endpoint, Endpoint::Unix(_)) && is_on("skip_networking") {
            return Err(session
                .not_yet(Class::Busy, "the server has no network yet (skip_networking)")
                .hint("the image's temporary server, which runs the scripts of the first start"));
        }
        if is_on("read_only") && !self.accepts_read_only {
            return Err(session.not_yet(Class::Absent, "the server takes no writes (read_only)"));
        }
        // MariaDB has the row wsrep_ready on every server.
        if is_on("wsrep_on") {
            let rows = session.query("SHOW STATUS LIKE 'wsrep_ready'").await;
            let rows = rows.map_err(|error| session.failure(error, Phase::Command))?;
            if value(&rows, "wsrep_ready") != Some("ON") {
                let message = "the node is not ready (wsrep_ready is OFF)";
                return Err(session
                    .not_yet(Class::Busy, message)
                    .hint("it has not joined the primary component of its Galera cluster"));
            }
        }
        Ok(())
    }
}

/// The value of a variable in rows of name and value.
fn value<'a>(rows: &'a Rows, name: &str) -> Option<&'a str> {
    rows.iter().find_map(|row| match row[..] {
        [Some(found), Some(value)] if found == name => Some(value),
        _ => None,
    })
}
