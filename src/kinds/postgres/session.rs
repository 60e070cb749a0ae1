//! A session after login: read-only transactions, rows as text, and a close that the server does
//! not log.

use std::time::Duration;

use fallible_iterator::FallibleIterator;
use postgres_protocol::{
    IsNull,
    message::{
        backend::{DataRowBody, Field, Message},
        frontend,
    },
};
use tokio::time::timeout;

pub use super::wire::Error;
use super::{
    classify::{PgError, Phase},
    wire::{Drain, Notices, Wire, let_others_run},
};
use crate::{
    connect::Endpoint,
    kinds::rows::{Rows, TooLarge},
    probe::{Attempt, Class, Cost, Failure},
    text::short_time,
};

/// The OID of `boolean` in every server's `pg_type.dat`.
pub(super) const BOOL: u32 = 16;

/// The longest wait for a lock that a read may need.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a server may take to close a TLS session after our Terminate.
const GOODBYE: Duration = Duration::from_millis(250);

/// The parameters that a server reports during login.
#[derive(Debug, Default)]
pub(super) struct About {
    pub(super) server_version: String,
    /// Reported since PostgreSQL 14, and not through every pooler.
    pub(super) in_hot_standby: Option<bool>,
    /// Reported under the same conditions as `in_hot_standby`.
    pub(super) default_read_only: Option<bool>,
}

/// A column of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type's OID.
    pub type_oid: u32,
}

/// The parameters and columns of a statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prepared {
    /// The number of its parameters.
    pub params: usize,
    /// Its columns; empty if the statement is not a query.
    pub columns: Vec<Column>,
}

/// A session in which the server is ready for a query.
pub struct Session {
    wire: Wire,
    about: About,
    cost: Cost,
    in_transaction: bool,
    /// Statements that the declaration's own settings need in each transaction.
    setup: Vec<String>,
}

impl Session {
    pub(super) fn new(wire: Wire, about: About, cost: Cost, setup: Vec<String>) -> Self {
        Self { wire, about, cost, in_transaction: false, setup }
    }

    /// The server's address.
    pub fn endpoint(&self) -> &Endpoint {
        &self.wire.endpoint
    }

    /// Returns the server's name and version, e.g. `PostgreSQL 15.18`.
    pub fn describe_server(&self) -> String {
        let version = self.about.server_version.split(' ').next().unwrap_or_default();
        let standby = if self.about.in_hot_standby == Some(true) { " (standby)" } else { "" };
        format!("PostgreSQL {version}{standby}").trim_end().to_owned()
    }

    /// Returns the session's cost for the server so far: a login if a password was computed, else a
    /// reply.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// Makes a failure from the session's replies, with the session's cost.
    pub fn not_yet(&self, class: Class, message: impl AsRef<str>) -> Failure {
        Failure::new(class, format!("{} ({})", message.as_ref(), self.wire.endpoint))
            .cost(self.cost)
    }

    /// Returns the failure that an error of this session means. `phase` is the origin of the
    /// command.
    pub fn failure(&self, error: Error, phase: Phase) -> Failure {
        match error {
            Error::Server(error) => error.failure(phase, &self.wire.endpoint),
            Error::Failed(failure) => failure,
        }
    }

    /// Begins a read-only transaction. The server ends its statements before the attempt ends.
    ///
    /// READ COMMITTED, because after a migrator's TRUNCATE an older snapshot reads an empty table.
    /// All settings are local to the transaction, so that they also work through a pooler and do
    /// not outlive it. `setup` holds further statements, e.g. `SET LOCAL row_security = off`.
    pub async fn read_only(&mut self, attempt: &Attempt<'_>, setup: &[&str]) -> Result<(), Error> {
        let left = attempt.remaining();
        attempt.stage(format!("logged in to {}, but no answer to BEGIN", self.wire.endpoint));
        // A tenth of the time is left for the reply to arrive.
        let statement = (left - left / 10).as_millis().max(1);
        let lock = (left / 2).min(LOCK_TIMEOUT).as_millis().max(1);
        let mut sql = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY; SET LOCAL statement_timeout = \
            {statement}; SET LOCAL lock_timeout = {lock}"
        );
        for statement in self.setup.iter().map(String::as_str).chain(setup.iter().copied()) {
            sql.push_str("; ");
            sql.push_str(statement);
        }
        self.command(&sql).await
    }

    /// Ends the transaction.
    pub async fn rollback(&mut self) -> Result<(), Error> {
        self.command("ROLLBACK").await
    }

    /// Runs our own statements by the simple protocol, and ignores their results.
    pub async fn command(&mut self, sql: &str) -> Result<(), Error> {
        frontend::query(sql, &mut self.wire.output).map_err(unsendable)?;
        self.wire.send().await?;
        self.until_ready(|_| Ok(())).await
    }

    /// Returns the parameters and columns of `sql` without running it.
    pub async fn prepare(&mut self, sql: &str) -> Result<Prepared, Error> {
        let output = &mut self.wire.output;
        frontend::parse("", sql, [], output).map_err(unsendable)?;
        frontend::describe(b'S', "", output).map_err(unsendable)?;
        frontend::sync(output);
        self.wire.send().await?;
        let mut prepared = Prepared::default();
        self.until_ready(|message| {
            match message {
                Message::ParameterDescription(body) => {
                    prepared.params = body.parameters().count().map_err(unreadable)?
                }
                Message::RowDescription(body) => {
                    let column = |field: Field<'_>| {
                        Ok(Column { name: field.name().to_owned(), type_oid: field.type_oid() })
                    };
                    prepared.columns = body.fields().map(column).collect().map_err(unreadable)?;
                }
                _ => {}
            }
            Ok(())
        })
        .await?;
        Ok(prepared)
    }

    /// Runs the statement that was prepared last. Returns up to `max` rows; 0 means all.
    pub(super) async fn execute(
        &mut self,
        params: &[Option<&str>],
        max: i32,
    ) -> Result<Rows, Error> {
        self.bind(params, max)?;
        self.wire.send().await?;
        self.collect_rows().await
    }

    /// Runs one query by the extended protocol. Parameters and columns are text. A cast must state
    /// a parameter's type if the server cannot infer it.
    pub(in crate::kinds) async fn rows(
        &mut self,
        sql: &str,
        params: &[Option<&str>],
    ) -> Result<Rows, Error> {
        frontend::parse("", sql, [], &mut self.wire.output).map_err(unsendable)?;
        self.bind(params, 0)?;
        self.wire.send().await?;
        self.collect_rows().await
    }

    fn bind(&mut self, params: &[Option<&str>], max: i32) -> Result<(), Failure> {
        let output = &mut self.wire.output;
        let value = |value: &Option<&str>, out: &mut bytes::BytesMut| {
            let Some(text) = value else { return Ok(IsNull::Yes) };
            out.extend_from_slice(text.as_bytes());
            Ok(IsNull::No)
        };
        if frontend::bind("", "", [], params, value, [], output).is_err() {
            return Err(Failure::new(Class::Config, "too many or too long parameters for a query"));
        }
        frontend::execute("", max, output).map_err(unsendable)?;
        frontend::sync(output);
        Ok(())
    }

    async fn collect_rows(&mut self) -> Result<Rows, Error> {
        let mut rows = Rows::default();
        self.until_ready(|message| match message {
            Message::DataRow(body) => read_row(&body, &mut rows),
            _ => Ok(()),
        })
        .await?;
        Ok(rows)
    }

    /// Reads up to ReadyForQuery. Returns an error of the server only then, so that the session can
    /// go on.
    async fn until_ready(
        &mut self,
        mut each: impl FnMut(Message) -> Result<(), Failure> + Send,
    ) -> Result<(), Error> {
        let (mut refusal, mut messages, mut notices) = (None, 0, Notices::default());
        loop {
            messages += 1;
            let_others_run(messages).await;
            match self.wire.receive().await {
                Ok(Message::ReadyForQuery(body)) => {
                    self.in_transaction = body.status() != b'I';
                    return refusal.map_or(Ok(()), |error| Err(Error::Server(error)));
                }
                Ok(Message::ErrorResponse(body)) => {
                    refusal.get_or_insert_with(|| PgError::read(body.fields()));
                }
                Ok(Message::NoticeResponse(_) | Message::ParameterStatus(_)) => {
                    notices.count(&self.wire)?;
                }
                Ok(message) => each(message)?,
                // The server sent the reason before it closed the connection.
                Err(failure) => return Err(refusal.map_or(Error::Failed(failure), Error::Server)),
            }
        }
    }

    /// Returns true if the server refuses writes: on a standby, or by its default.
    pub async fn is_read_only(&mut self) -> Result<bool, Error> {
        match (self.about.in_hot_standby, self.about.default_read_only) {
            (Some(true), _) | (_, Some(true)) => Ok(true),
            (Some(false), Some(false)) => Ok(false),
            _ => Ok(self.one_value("SHOW transaction_read_only").await?.as_deref() == Some("on")),
        }
    }

    /// Returns true if the server is a standby.
    pub async fn is_standby(&mut self) -> Result<bool, Error> {
        match self.about.in_hot_standby {
            Some(standby) => Ok(standby),
            None => Ok(self.one_value("SELECT pg_catalog.pg_is_in_recovery()").await?.as_deref()
                == Some("t")),
        }
    }

    async fn one_value(&mut self, sql: &str) -> Result<Option<String>, Error> {
        Ok(self.rows(sql, &[]).await?.values().next().flatten().map(str::to_owned))
    }

    /// Sends Terminate. Over TLS it also waits for the server's close, because the server would log
    /// a reset otherwise.
    pub async fn close(mut self, attempt: &Attempt<'_>) {
        // The close must not use up the time of the attempt, or its result would be lost.
        let bound = GOODBYE.min(attempt.remaining() / 2);
        attempt.stage(format!(
            "logged in to {}, but not out again within {}",
            self.wire.endpoint,
            short_time(bound)
        ));
        let _ = timeout(bound, async {
            if self.in_transaction {
                // Otherwise a pooler would have to discard its connection to the server.
                let _ = self.rollback().await;
            }
            let drain = if self.wire.encrypted { Drain::Yes } else { Drain::No };
            self.wire.close(drain).await;
        })
        .await;
    }
}

fn read_row(body: &DataRowBody, rows: &mut Rows) -> Result<(), Failure> {
    let too_large = |error: TooLarge| Failure::new(Class::Protocol, error.message());
    let mut ranges = body.ranges();
    while let Some(range) = ranges.next().map_err(unreadable)? {
        let value = range.map(|range| body.buffer().get(range).unwrap_or_default());
        rows.push(value).map_err(too_large)?;
    }
    rows.end_row().map_err(too_large)
}

fn unreadable(error: std::io::Error) -> Failure {
    Failure::new(Class::Protocol, format!("PostgreSQL's protocol is broken: {error}"))
}

fn unsendable(error: std::io::Error) -> Failure {
    Failure::new(Class::Config, format!("the query cannot be sent: {error}"))
}
