//! A session that was logged in to: statements, and rows of text of bounded size.

use bytes::BytesMut;

use super::{
    failure::{Error, Phase, ServerError, UNKNOWN_VARIABLE},
    greeting::{Greeting, capability},
    packet::{Fields, Packets},
};
use crate::{
    connect::Endpoint,
    kinds::rows::Rows,
    probe::{Attempt, Class, Cost, Failure},
};

/// The most columns of a result.
const MAX_COLUMNS: u64 = 256;

/// COM_ codes (MySQL source, `my_command.h`).
const QUIT: u8 = 1;
const QUERY: u8 = 3;
const PREPARE: u8 = 0x16;

/// A session on one server.
pub struct Session {
    packets: Packets,
    product: String,
    is_mariadb: bool,
    /// Results end with an OK packet instead of an EOF packet.
    no_eof: bool,
}

/// The server's description of a prepared statement.
pub struct Prepared {
    /// The number of its placeholders.
    pub params: u16,
    /// The types of its columns (`enum_field_types`). Empty if the statement returns no rows.
    pub types: Vec<u8>,
}

impl Session {
    pub(super) fn new(packets: Packets, greeting: &Greeting) -> Self {
        Self {
            packets,
            product: greeting.product.clone(),
            is_mariadb: greeting.is_mariadb,
            no_eof: greeting.has(capability::DEPRECATE_EOF),
        }
    }

    /// Name and version of the server, e.g. `MariaDB 10.11.19`.
    pub fn product(&self) -> &str {
        &self.product
    }

    /// Returns true for a MariaDB, and false for a MySQL.
    pub fn is_mariadb(&self) -> bool {
        self.is_mariadb
    }

    /// The server's address.
    pub fn endpoint(&self) -> &Endpoint {
        self.packets.wire.endpoint()
    }

    /// A failure that names the server.
    pub fn not_yet(&self, class: Class, message: impl std::fmt::Display) -> Failure {
        self.packets.wire.failure(class, message).cost(Cost::Login)
    }

    /// Returns the failure that an error means.
    pub fn failure(&self, error: Error, phase: Phase) -> Failure {
        match error {
            Error::Server(error) => error.failure(phase, self.endpoint()),
            Error::Failed(failure) => failure,
        }
    }

    /// Makes the session read-only and bounds the waits of a statement.
    ///
    /// MariaDB runs DDL in a read-only transaction but not in a read-only session.
    pub async fn read_only(&mut self, attempt: &Attempt<'_>) -> Result<(), Error> {
        self.run("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ ONLY").await?;
        let left = attempt.remaining();
        let bound = if self.is_mariadb {
            format!("max_statement_time={:.3}", left.as_secs_f64().max(0.001))
        } else {
            format!("max_execution_time={}", left.as_millis().max(1))
        };
        let waits = "lock_wait_timeout=1, innodb_lock_wait_timeout=1";
        match self.run(&format!("SET SESSION {waits}, {bound}")).await {
            // TiDB and Vitess know some of them only; the attempt's own bound holds.
            Err(Error::Server(error)) if error.code == UNKNOWN_VARIABLE => Ok(()),
            done => done,
        }
    }

    async fn run(&mut self, sql: &str) -> Result<(), Error> {
        self.query(sql).await.map(drop)
    }

    /// Runs one statement and returns its rows.
    pub(in crate::kinds) async fn query(&mut self, sql: &str) -> Result<Rows, Error> {
        self.packets.command(QUERY, sql).await?;
        let columns = match self.reply().await? {
            reply if reply[0] == 0 => return Ok(Rows::default()),
            // LOCAL INFILE: no server may read our files.
            reply if reply[0] == 0xfb => {
                return Err(self.packets.odd("a request for a file").into());
            }
            reply => Fields(&reply).number(),
        };
        let columns = columns.filter(|columns| (1..=MAX_COLUMNS).contains(columns));
        let columns = columns.ok_or_else(|| self.packets.odd("a result without columns"))?;
        self.definitions(columns).await?;
        self.rows(columns).await
    }

    /// Prepares a statement without running it.
    pub async fn prepare(&mut self, sql: &str) -> Result<Prepared, Error> {
        self.packets.command(PREPARE, sql).await?;
        let reply = self.reply().await?;
        let mut fields = Fields(&reply);
        let (_, _) = (fields.u8(), fields.u32());
        let (Some(columns), Some(params)) = (fields.u16(), fields.u16()) else {
            return Err(self.packets.odd("no answer to a prepared statement").into());
        };
        if u64::from(columns) > MAX_COLUMNS || u64::from(params) > MAX_COLUMNS {
            return Err(self.packets.odd("a statement of too many columns").into());
        }
        self.definitions(params.into()).await?;
        let types = self.definitions(columns.into()).await?;
        Ok(Prepared { params, types })
    }

    /// Closes the session as the server expects it; without that, it writes a warning.
    pub async fn quit(mut self, attempt: &Attempt<'_>) {
        let ended = async move {
            let _ = self.packets.command(QUIT, "").await;
            self.packets.wire.close().await;
        };
        let _ = tokio::time::timeout(attempt.remaining(), ended).await;
    }

    async fn reply(&mut self) -> Result<BytesMut, Error> {
        let reply = self.packets.receive().await?;
        match reply[0] {
            0xff => Err(ServerError::parse(&reply).into()),
            _ => Ok(reply),
        }
    }

    /// Reads the definitions of `count` columns up to their end. Returns their types.
    async fn definitions(&mut self, columns: u64) -> Result<Vec<u8>, Error> {
        let mut types = Vec::new();
        for _ in 0..columns {
            let definition = self.reply().await?;
            types.push(column_type(&definition).ok_or_else(|| self.packets.odd("a column"))?);
        }
        if columns > 0 && !self.no_eof {
            self.reply().await?;
        }
        Ok(types)
    }

    async fn rows(&mut self, columns: u64) -> Result<Rows, Error> {
        let mut rows = Rows::default();
        loop {
            let packet = self.reply().await?;
            // An EOF packet, or an OK packet that is marked as the end.
            if packet[0] == 0xfe && packet.len() < 0xff_ffff {
                return Ok(rows);
            }
            let mut fields = Fields(&packet);
            let mut added = Ok(());
            for _ in 0..columns {
                let value = fields.value().ok_or_else(|| self.packets.odd("a row"))?;
                added = added.and_then(|()| rows.push(value));
            }
            if let Err(error) = added.and_then(|()| rows.end_row()) {
                return Err(self.not_yet(Class::Protocol, error.message()).into());
            }
            if rows.len() % 256 == 0 {
                tokio::task::yield_now().await;
            }
        }
    }
}

/// Catalog, schema, table, its own name, column, its own name; then character set, length, type.
fn column_type(definition: &[u8]) -> Option<u8> {
    let mut fields = Fields(definition);
    for _ in 0..6 {
        fields.string()?;
    }
    fields.number()?;
    fields.bytes(6)?;
    fields.u8()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::wire::testing::wire;

    fn session(packets: &[&[u8]]) -> Session {
        let mut bytes = Vec::new();
        for (n, payload) in packets.iter().enumerate() {
            bytes.extend(&(payload.len() as u32).to_le_bytes()[..3]);
            bytes.push(n as u8 + 1);
            bytes.extend(*payload);
        }
        Session {
            packets: Packets::new(wire(&bytes)),
            product: "MariaDB 10.11".to_owned(),
            is_mariadb: true,
            no_eof: true,
        }
    }

    const COLUMN: &[u8] = b"\x03def\0\0\0\x01a\0\x0c\x2d\0\x01\0\0\0\x03\0\0\0\0\0";

    #[tokio::test]
    async fn rows_are_read_up_to_the_end_of_the_result() {
        let end = b"\xfe\0\0\x02\0\0\0";
        let rows = session(&[b"\x01", COLUMN, b"\x011", b"\xfb", end]).query("x").await;
        assert_eq!(rows.unwrap().values().collect::<Vec<_>>(), [Some("1"), None]);
        let mut old = Session {
            no_eof: false,
            ..session(&[b"\x01", COLUMN, b"\xfe\0\0\x02\0", b"\x011", b"\xfe\0\0\x02\0"])
        };
        assert_eq!(old.query("x").await.unwrap().only(), Some(vec![Some("1")]));
        assert!(session(&[b"\0\0\0\x02\0\0\0"]).query("x").await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn odd_results_are_failures() {
        for packets in [
            &[&b"\xfb/etc/passwd"[..]][..],
            &[b"\xfc\xff\xff"],
            &[b"\x01", b"\x03de"],
            &[b"\x01", COLUMN, b"\x05a"],
        ] {
            match session(packets).query("x").await {
                Err(Error::Failed(failure)) => assert_eq!(failure.class, Class::Protocol),
                other => panic!("{other:?}"),
            }
        }
        let error = session(&[b"\xff\x7a\x04#42S02no"]).query("x").await.unwrap_err();
        assert!(matches!(error, Error::Server(error) if error.code == 1146));
    }

    #[tokio::test]
    async fn a_prepared_statement_tells_its_columns() {
        let prepared = session(&[b"\0\x01\0\0\0\x01\0\0\0\0\0\0", COLUMN]).prepare("x").await;
        let prepared = prepared.unwrap();
        assert_eq!((prepared.params, prepared.types), (0, vec![3]));
    }
}
