//! The key `query`: one SELECT, one row, and its first column is 1.

use super::{
    ask::Question,
    failure::{Error, Phase},
    session::{Prepared, Session},
};
use crate::{
    kinds::rows::Rows,
    probe::{Attempt, AttemptFuture, Class, Failure, Verdict},
};

/// The check of a server after the login.
pub(super) struct Check {
    pub(super) query: Option<String>,
    pub(super) writable: bool,
}

impl Question for Check {
    fn ask<'a>(
        &'a mut self,
        attempt: &'a Attempt<'a>,
        session: &'a mut Session,
    ) -> AttemptFuture<'a> {
        Box::pin(async move {
            let ready = Verdict::ready(session.product());
            let Some(query) = &self.query else { return ready };
            match run(attempt, session, query).await {
                Ok(()) => ready,
                Err(failure) => failure.verdict(),
            }
        })
    }

    fn accepts_read_only(&self) -> bool {
        !self.writable
    }
}

async fn run(attempt: &Attempt<'_>, session: &mut Session, query: &str) -> Result<(), Failure> {
    session.read_only(attempt).await.map_err(|error| session.failure(error, Phase::Command))?;
    attempt.stage(format!("logged in to {}, but no answer to the query", session.endpoint()));
    // The statement is prepared first, so that only a query ever runs.
    let rows = match session.prepare(query).await {
        Ok(prepared) => {
            check_columns(&prepared).map_err(|message| session.not_yet(Class::Config, message))?;
            session.query(query).await
        }
        Err(error) => Err(error),
    };
    let rows = rows.map_err(|error| failure(session, error))?;
    check_rows(&rows).map_err(|(class, message)| session.not_yet(class, message))
}

fn failure(session: &Session, error: Error) -> Failure {
    let failure = session.failure(error, Phase::Query);
    failure.with(|reason| reason.message = format!("query: {}", reason.message).into())
}

/// Types of numbers (`enum_field_types`): TINY, SHORT, LONG, LONGLONG, INT24. There is no boolean.
const NUMBERS: [u8; 5] = [1, 2, 3, 8, 9];

fn check_columns(prepared: &Prepared) -> Result<(), &'static str> {
    match prepared.types.first() {
        _ if prepared.params > 0 => Err("query: must have no parameters (?)"),
        None => Err("query: must be a SELECT; this statement answers with no column"),
        Some(first) if NUMBERS.contains(first) => Ok(()),
        Some(_) => Err("query: its first column must be a condition, e.g. count(*) > 0"),
    }
}

fn check_rows(rows: &Rows) -> Result<(), (Class, &'static str)> {
    let Some(row) = rows.only() else {
        return Err((
            Class::Absent,
            if rows.is_empty() { "query: no row" } else { "query: several rows" },
        ));
    };
    match row.first() {
        Some(Some("1")) => Ok(()),
        Some(Some("0")) => Err((Class::Absent, "query: false")),
        Some(None) => Err((Class::Absent, "query: NULL")),
        _ => Err((Class::Config, "query: its first column must be 0 or 1, e.g. count(*) > 0")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_row_with_1_in_it_is_ready() {
        for (rows, want) in [
            (&[[Some("1")]][..], Ok(())),
            (&[[Some("0")]], Err(Class::Absent)),
            (&[[Some("7")]], Err(Class::Config)),
            (&[[None]], Err(Class::Absent)),
            (&[], Err(Class::Absent)),
            (&[[Some("1")], [Some("1")]], Err(Class::Absent)),
        ] {
            assert_eq!(check_rows(&Rows::of(rows)).map_err(|(class, _)| class), want, "{rows:?}");
        }
    }

    #[test]
    fn the_first_column_is_a_number_without_placeholders() {
        let check =
            |params, types: &[u8]| check_columns(&Prepared { params, types: types.to_vec() });
        assert_eq!(check(0, &[3, 253]), Ok(()));
        assert!(check(0, &[253]).is_err() && check(0, &[]).is_err() && check(1, &[3]).is_err());
    }
}
