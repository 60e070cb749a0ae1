//! Chooses a server of a target as the application's driver does, then asks it one question.

use tokio::time::{Instant, timeout_at};

use super::{
    classify::Phase,
    open::Opening,
    session::{Error, Session},
    target::{Access, AfterRefusal, Server, Target, Wanted},
};
use crate::probe::{
    Attempt, AttemptFuture, Class, Failure, ListedServer, Turn, TurnFuture, Verdict, try_servers,
};

/// A question to a server, asked once a session is open.
pub trait Question: Send {
    /// Asks the server. The session is closed afterwards, whatever the answer; a transaction left
    /// open is rolled back.
    fn ask<'a>(
        &'a mut self,
        attempt: &'a Attempt<'a>,
        session: &'a mut Session,
    ) -> AttemptFuture<'a>;
}

impl Target {
    /// One attempt: a session on the server that the application's driver would choose, then the
    /// question.
    pub async fn ask(&mut self, attempt: &Attempt<'_>, question: &mut dyn Question) -> Verdict {
        let access = &self.access;
        let candidate = |server| Candidate { server, access, session: None };
        let mut candidates: Vec<_> = self.servers.iter_mut().map(candidate).collect();
        let turn = try_servers(attempt, &mut candidates, &mut self.order).await;
        let mut sessions = Vec::new();
        for candidate in candidates {
            sessions.extend(candidate.session);
        }
        let chosen = match &turn {
            Turn::Decides(Verdict::Ready(_)) => {
                sessions.iter().position(|(_, fit)| *fit == Fit::Suits)
            }
            // Under prefer-standby, without a standby, the first primary is chosen.
            Turn::MakesWay(_) => sessions.iter().position(|(_, fit)| *fit == Fit::WillDo),
            Turn::Decides(_) => None,
        };
        let chosen = chosen.map(|index| sessions.swap_remove(index).0);
        for (session, _) in sessions {
            session.close(attempt).await;
        }
        match chosen {
            Some(mut session) => {
                let verdict = question.ask(attempt, &mut session).await;
                session.close(attempt).await;
                verdict
            }
            None => turn.verdict(),
        }
    }
}

/// How a server fits `target_session_attrs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    Suits,
    /// Chosen only if no server suits: the primary under `prefer-standby`.
    WillDo,
}

/// One server of a list that is being tried.
struct Candidate<'a> {
    server: &'a mut Server,
    access: &'a Access,
    /// The session that was opened, if the server fits.
    session: Option<(Session, Fit)>,
}

impl ListedServer for Candidate<'_> {
    fn ask<'a>(&'a mut self, attempt: &'a Attempt<'a>) -> TurnFuture<'a> {
        Box::pin(async move {
            let mut session = match self.open(attempt).await {
                Ok(session) => session,
                Err(turn) => return turn,
            };
            match mismatch(&mut session, self.access.wanted).await {
                Ok(None) => {
                    let ready = Verdict::ready(session.describe_server());
                    self.session = Some((session, Fit::Suits));
                    Turn::Decides(ready)
                }
                Ok(Some(why)) => {
                    let failure = session.not_yet(Class::Absent, why);
                    if self.access.wanted == Wanted::PreferStandby {
                        self.session = Some((session, Fit::WillDo));
                    } else {
                        session.close(attempt).await;
                    }
                    Turn::MakesWay(failure)
                }
                Err(error) => self.refused(session.failure(error, Phase::Command)),
            }
        })
    }
}

impl Candidate<'_> {
    /// Opens a session within `connect_timeout`.
    async fn open(&mut self, attempt: &Attempt<'_>) -> Result<Session, Turn> {
        let bound = self.access.connect_timeout.filter(|bound| *bound < attempt.remaining());
        let bounded = match bound {
            Some(bound) => attempt.with_deadline(Instant::now() + bound),
            None => attempt.with_deadline(attempt.deadline),
        };
        let mut opening = Opening::new(&bounded, self.access, self.server);
        let opened = match bound {
            Some(bound) => match timeout_at(bounded.deadline, opening.open()).await {
                Ok(opened) => opened,
                Err(_) => return Err(Turn::MakesWay(bounded.timed_out(bound))),
            },
            None => opening.open().await,
        };
        let connected = opening.connected;
        opened.map_err(|error| match error {
            Error::Server(error) => {
                let failure = error.failure(self.access.login.phase(), &self.server.endpoint);
                if error.is_starting() { Turn::MakesWay(failure) } else { self.refused(failure) }
            }
            Error::Failed(failure) if connected => self.refused(failure),
            Error::Failed(failure) => Turn::from(failure.verdict()),
        })
    }

    /// Decides what follows for the list after a server that was reached refuses.
    fn refused(&self, failure: Failure) -> Turn {
        match self.access.after_refusal {
            AfterRefusal::Stop if failure.class != Class::Timeout => {
                Turn::Decides(failure.verdict())
            }
            _ => Turn::from(failure.verdict()),
        }
    }
}

/// Returns the reason why `target_session_attrs` excludes this server, or `None` if it does not.
async fn mismatch(session: &mut Session, wanted: Wanted) -> Result<Option<&'static str>, Error> {
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
            Some("the server is not a standby, and target_session_attrs=standby wants one")
        }
        _ => None,
    })
}
