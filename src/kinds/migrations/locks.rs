//! The signs of a migrator at work: its advisory lock, a table lock, a row in a lock table.

use std::fmt;

/// A sign of a migrator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// The tool's own advisory lock. It ends with its session, so a migrator is at work now.
    Advisory {
        /// The server process that holds the lock.
        pid: Option<String>,
    },
    /// A lock on the table by a session that writes, or is about to. It ends with its transaction.
    #[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "MySQL hides these locks"))]
    Table {
        /// The mode, as the server calls it.
        mode: String,
        /// The server process that holds the lock.
        pid: Option<String>,
    },
    /// A row that a migrator wrote and may have left behind.
    Row {
        /// The holder, in the tool's own words.
        holder: String,
        /// The lock table.
        table: String,
        /// The way to remove a stale row.
        release: &'static str,
    },
}

impl Held {
    /// Returns true if the holder is alive: its lock ends with it.
    pub(super) fn is_live(&self) -> bool {
        !matches!(self, Held::Row { .. })
    }

    /// Returns true if a SELECT would wait for the holder's end.
    pub(super) fn blocks_reads(&self) -> bool {
        matches!(self, Held::Table { mode, .. } if mode == "AccessExclusiveLock")
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pid = match self {
            Held::Advisory { pid } => {
                f.write_str("its advisory lock is held")?;
                pid
            }
            Held::Table { mode, pid } => {
                write!(f, "the table is locked in mode {mode}")?;
                pid
            }
            Held::Row { holder, table, .. } => {
                return write!(f, "{table} says that {holder} holds the lock");
            }
        };
        pid.as_ref().map_or(Ok(()), |pid| write!(f, " (server process {pid})"))
    }
}

/// Rails: `2053462845 * crc32(database)` (activerecord `migration.rb`,
/// `generate_migrator_advisory_lock_id`).
pub(super) fn rails(_: &str, _: &str, database: &str) -> Vec<i64> {
    vec![2_053_462_845_i64.wrapping_mul(i64::from(crc32(database)))]
}

/// sqlx: `0x3d32ad9e * crc32(database)` (sqlx-postgres `migrate.rs`, `generate_lock_id`).
pub(super) fn sqlx(_: &str, _: &str, database: &str) -> Vec<i64> {
    vec![0x3d32_ad9e_i64.wrapping_mul(i64::from(crc32(database)))]
}

/// golang-migrate: `crc32(schema \0 table \0 database) * 1486364155` in 32 bits; by URL the
/// database is called `/name`.
pub(super) fn golang_migrate(schema: &str, table: &str, database: &str) -> Vec<i64> {
    let key = |database: &str| {
        crc32(&format!("{schema}\0{table}\0{database}")).wrapping_mul(1_486_364_155)
    };
    vec![i64::from(key(database)), i64::from(key(&format!("/{database}")))]
}

/// Flyway: a constant and Java's hash of the quoted name (`PostgreSQLAdvisoryLockTemplate.java`).
pub(super) fn flyway(schema: &str, table: &str, _: &str) -> Vec<i64> {
    let hash = |text: &str| {
        text.encode_utf16()
            .fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
    };
    vec![77_431_708_279_161 + i64::from(hash(&format!("\"{schema}\".\"{table}\"")))]
}

/// CRC-32 as in zlib and Ethernet.
pub(super) fn crc32(text: &str) -> u32 {
    !text.bytes().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_that_the_tools_take() {
        assert_eq!(crc32("123456789"), 0xcbf4_3926);
        assert_eq!(flyway("public", "flyway_schema_history", ""), [77_433_833_903_597]);
        assert_eq!(rails("", "", "x"), [2_053_462_845 * 2_363_233_923]);
        assert_eq!(sqlx("", "", "x"), [0x3d32_ad9e * 2_363_233_923]);
        assert_eq!(
            golang_migrate("public", "schema_migrations", "gm"),
            [1_418_081_039, 3_596_941_855]
        );
    }
}
