//! Asks the servers of a target in turn, through the whole login, until one will do.

use std::sync::{Mutex, PoisonError};

use tokio::time::{Instant, timeout_at};

use super::{
    classify::Phase,
    open::open,
    session::{Error, Session},
    target::{Server, Target, Wanted},
};
use crate::probe::{Attempt, AttemptFuture, Class, Failure, Verdict, try_servers};

/// What is to be known of a server once a session is open.
pub trait Question: Send + Sync {
    /// Asks it. The session is closed afterwards, whatever the answer; a transaction left open is rolled back.
    fn ask<'a>(&'a self, attempt: &'a Attempt<'a>, session: &'a mut Session) -> AttemptFuture<'a>;
}

impl Target {
    /// One attempt: a session on the first server that answers, and that `target_session_attrs` admits, then the question.
    ///
    /// Each server has its share of the attempt, and the next attempt begins with the next one.
    pub async fn ask(&mut self, attempt: &Attempt<'_>, question: &dyn Question) -> Verdict {
        let mut first = self.first;
        // Moved on before the first await: a cut attempt too makes way for the next server.
        self.first = (first + 1) % self.servers.len().max(1);
        let (target, held) = (&*self, Mutex::new(None));
        let asking = |server| Asking { target, server, question, held: &held };
        let servers: Vec<_> = self.servers.iter().map(asking).collect();
        let verdict = try_servers(attempt, &servers, &mut first, |attempt, asking| {
            Box::pin(asking.ask(attempt))
        })
        .await;
        let held = held.into_inner().unwrap_or_else(PoisonError::into_inner);
        match (verdict, held) {
            // prefer-standby, and no standby: the primary will do.
            (Verdict::NotYet(_), Some(session)) => put(attempt, session, question).await,
            (verdict, Some(session)) => {
                session.close(attempt).await;
                verdict
            }
            (verdict, None) => verdict,
        }
    }
}

async fn put(attempt: &Attempt<'_>, mut session: Session, question: &dyn Question) -> Verdict {
    let verdict = question.ask(attempt, &mut session).await;
    session.close(attempt).await;
    verdict
}

struct Asking<'a> {
    target: &'a Target,
    server: &'a Server,
    question: &'a dyn Question,
    /// A session on a server that will do if there is no better one.
    held: &'a Mutex<Option<Session>>,
}

impl Asking<'_> {
    async fn ask(&self, attempt: &Attempt<'_>) -> Verdict {
        let mut session = match self.open(attempt).await {
            Ok(session) => session,
            Err(failure) => return failure.verdict(),
        };
        match unsuited(&mut session, self.target.wanted).await {
            Ok(None) => put(attempt, session, self.question).await,
            Ok(Some(why)) => {
                let failure = session.not_yet(Class::Absent, why);
                let spare = match self.target.wanted {
                    Wanted::PreferStandby => {
                        self.held.lock().unwrap_or_else(PoisonError::into_inner).replace(session)
                    }
                    _ => Some(session),
                };
                if let Some(session) = spare {
                    session.close(attempt).await;
                }
                failure.verdict()
            }
            Err(error) => session.failure(error, Phase::Command).verdict(),
        }
    }

    async fn open(&self, attempt: &Attempt<'_>) -> Result<Session, Failure> {
        let opened = match self.target.connect_timeout.filter(|bound| *bound < attempt.remaining())
        {
            Some(bound) => {
                let bounded = attempt.with_deadline(Instant::now() + bound);
                match timeout_at(bounded.deadline, open(&bounded, self.target, self.server)).await {
                    Ok(opened) => opened,
                    Err(_) => return Err(bounded.timed_out(bound)),
                }
            }
            None => open(attempt, self.target, self.server).await,
        };
        opened.map_err(|error| match error {
            Error::Server(error) => error.failure(Phase::Login, &self.server.endpoint),
            Error::Failed(failure) => failure,
        })
    }
}

/// Why this server is not one of those that were asked for, if it is not.
async fn unsuited(session: &mut Session, wanted: Wanted) -> Result<Option<&'static str>, Error> {
    Ok(match wanted {
        Wanted::Any => None,
        Wanted::ReadWrite if session.is_read_only().await? => Some(
            "the session is read-only, and target_session_attrs=read-write wants another server",
        ),
        Wanted::ReadOnly if !session.is_read_only().await? => Some(
            "the session is not read-only, and target_session_attrs=read-only wants another server",
        ),
        Wanted::Primary if session.is_standby().await? => {
            Some("the server is a standby, and target_session_attrs=primary wants another")
        }
        Wanted::Standby | Wanted::PreferStandby if !session.is_standby().await? => {
            Some("the server is no standby, and target_session_attrs=standby wants one")
        }
        _ => None,
    })
}
