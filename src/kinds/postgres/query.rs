//! The key `query`: one statement that returns one row whose first column is true.

use super::{
    ask::Question,
    classify::Phase,
    session::{BOOL, Error, Prepared, Session},
};
use crate::{
    kinds::rows::Rows,
    probe::{Attempt, AttemptFuture, Class, Failure, Verdict},
};

/// Checks a server after the login: its ReadyForQuery, and the `query` if the user declares one.
pub(super) struct Check {
    pub(super) query: Option<String>,
}

impl Question for Check {
    fn ask<'a>(
        &'a mut self,
        attempt: &'a Attempt<'a>,
        session: &'a mut Session,
    ) -> AttemptFuture<'a> {
        Box::pin(async move {
            let ready = Verdict::ready(session.describe_server());
            let Some(query) = &self.query else { return ready };
            match run(attempt, session, query).await {
                Ok(()) => ready,
                Err(failure) => failure.verdict(),
            }
        })
    }
}

async fn run(attempt: &Attempt<'_>, session: &mut Session, query: &str) -> Result<(), Failure> {
    session.read_only(attempt, &[]).await.map_err(|e| session.failure(e, Phase::Command))?;
    attempt.stage(format!("logged in to {}, but no answer to the query", session.endpoint()));
    // The statement is described before it runs, so that only a query ever runs.
    let rows = match session.prepare(query).await {
        Ok(prepared) => {
            check_columns(&prepared).map_err(|message| session.not_yet(Class::Config, message))?;
            session.execute(&[], 2).await
        }
        Err(error) => Err(error),
    };
    let rows = rows.map_err(|e| failure(session, e))?;
    check_rows(&rows).map_err(|message| session.not_yet(Class::Absent, message))
}

fn failure(session: &Session, error: Error) -> Failure {
    let failure = session.failure(error, Phase::Query);
    failure.with(|reason| reason.message = format!("query: {}", reason.message).into())
}

fn check_columns(prepared: &Prepared) -> Result<(), String> {
    match prepared.columns.first() {
        _ if prepared.params > 0 => Err("query: must have no parameters ($1)".to_owned()),
        None => Err("query: must be a SELECT; this statement answers with no column".to_owned()),
        Some(first) if first.type_oid == BOOL => Ok(()),
        Some(first) => Err(format!(
            "query: its first column must be boolean, and is {}",
            type_name(first.type_oid)
        )),
    }
}

fn check_rows(rows: &Rows) -> Result<(), &'static str> {
    let Some(row) = rows.only() else {
        return Err(if rows.is_empty() { "query: no row" } else { "query: several rows" });
    };
    match row.first() {
        Some(Some("t")) => Ok(()),
        Some(None) => Err("query: NULL"),
        _ => Err("query: false"),
    }
}

/// Returns the name of a result type, for errors. The OIDs come from `pg_type.dat`.
fn type_name(oid: u32) -> String {
    match oid {
        20 => "bigint".to_owned(),
        21 => "smallint".to_owned(),
        23 => "integer".to_owned(),
        25 => "text".to_owned(),
        1043 => "varchar".to_owned(),
        1700 => "numeric".to_owned(),
        2278 => "void".to_owned(),
        oid => format!("of type {oid}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::postgres::session::Column;

    #[test]
    fn only_one_row_with_true_in_it_is_ready() {
        for (rows, want) in [
            (&[[Some("t")]][..], Ok(())),
            (&[[Some("f")]], Err("query: false")),
            (&[[None]], Err("query: NULL")),
            (&[], Err("query: no row")),
            (&[[Some("t")], [Some("t")]], Err("query: several rows")),
        ] {
            assert_eq!(check_rows(&Rows::of(rows)), want, "{rows:?}");
        }
    }

    #[test]
    fn the_first_column_is_boolean_and_nothing_is_to_be_filled_in() {
        let check = |params, types: &[u32]| {
            let columns =
                types.iter().map(|oid| Column { name: "x".to_owned(), type_oid: *oid }).collect();
            check_columns(&Prepared { params, columns })
        };
        assert_eq!(check(0, &[BOOL, 25]), Ok(()));
        let column = |oid| check(0, &[oid]).unwrap_err();
        assert_eq!(column(23), "query: its first column must be boolean, and is integer");
        assert_eq!(column(17), "query: its first column must be boolean, and is of type 17");
        assert!(check(0, &[]).is_err());
        assert!(check(1, &[BOOL]).unwrap_err().contains("must have no parameters"));
    }
}
