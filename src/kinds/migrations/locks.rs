//! What shows that a migrator is at work: advisory keys, locks on the table, rows in a lock table.

use super::tool::{Lock, Tool};

/// Every granted lock that another session holds on this database's advisory keys, and on the tables `$1`.
///
/// Readable by every role, other users' locks included. A 64-bit advisory key stands in two halves (manual, section 54.13).
pub const HELD: &str = "SELECT l.locktype, ((l.classid::bigint << 32) | l.objid::bigint)::text, l.mode, l.pid::text \
    FROM pg_catalog.pg_locks l WHERE l.granted AND l.pid <> pg_catalog.pg_backend_pid() \
    AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()) \
    AND ((l.locktype = 'advisory' AND l.objsubid = 1) OR (l.locktype = 'relation' AND l.relation = ANY ($1::oid[])))";

/// A sign of a migrator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// A lock that ends with its session: somebody is at work now.
    Live(String),
    /// A row that somebody wrote, and may have left behind: who, in which table, and how it is taken away.
    Row {
        /// The tool's own words for the holder.
        holder: String,
        /// The lock table.
        table: String,
        /// What an operator does about a stale one.
        release: &'static str,
    },
}

/// The advisory keys of a tool for this table.
pub fn advisory_keys(tool: &Tool, schema: &str, table: &str, database: &str) -> Vec<i64> {
    let keys = |lock: &Lock| match lock {
        Lock::Advisory(keys) => keys(schema, table, database),
        Lock::Row { .. } => Vec::new(),
    };
    tool.locks.iter().flat_map(keys).collect()
}

/// What the answer to [`HELD`] shows of a migrator with these keys.
pub fn live(rows: &[Vec<Option<String>>], keys: &[i64]) -> Vec<Held> {
    let mut held = Vec::new();
    for row in rows {
        let [Some(kind), key, Some(mode), pid] = row.as_slice() else { continue };
        let who = pid.as_deref().map(|pid| format!(" (server process {pid})")).unwrap_or_default();
        let key = key.as_ref().and_then(|key| key.parse::<i64>().ok());
        let what = match kind.as_str() {
            "advisory" if key.is_some_and(|key| keys.contains(&key)) => {
                format!("its advisory lock is held{who}")
            }
            // Whoever only reads holds less. Autovacuum holds one of these too, and cannot be told apart without a right to:
            // it is done soon.
            "relation" if writes(mode) => format!("the table is locked in mode {mode}{who}"),
            _ => continue,
        };
        held.push((kind != "advisory", Held::Live(what)));
    }
    // The tool's own lock says more than that somebody writes.
    held.sort_by_key(|(other, _)| *other);
    held.into_iter().map(|(_, held)| held).collect()
}

fn writes(mode: &str) -> bool {
    !matches!(mode, "AccessShareLock" | "RowShareLock" | "SIReadLock")
}

/// Rails: `2053462845 * crc32(database)` (activerecord `migration.rb`, `generate_migrator_advisory_lock_id`).
pub fn rails(_: &str, _: &str, database: &str) -> Vec<i64> {
    vec![2_053_462_845_i64.wrapping_mul(i64::from(crc32(database)))]
}

/// sqlx: `0x3d32ad9e * crc32(database)` (sqlx-postgres `migrate.rs`, `generate_lock_id`).
pub fn sqlx(_: &str, _: &str, database: &str) -> Vec<i64> {
    vec![0x3d32_ad9e_i64.wrapping_mul(i64::from(crc32(database)))]
}

/// golang-migrate: `crc32(schema \0 table \0 database) * 1486364155` in 32 bits; by URL the database is called `/name`.
pub fn golang_migrate(schema: &str, table: &str, database: &str) -> Vec<i64> {
    let key = |database: &str| {
        crc32(&format!("{schema}\0{table}\0{database}")).wrapping_mul(1_486_364_155)
    };
    vec![i64::from(key(database)), i64::from(key(&format!("/{database}")))]
}

/// Flyway: a constant and Java's hash of the quoted name (`PostgreSQLAdvisoryLockTemplate.java`).
pub fn flyway(schema: &str, table: &str, _: &str) -> Vec<i64> {
    let hash = |text: &str| {
        text.encode_utf16()
            .fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
    };
    vec![77_431_708_279_161 + i64::from(hash(&format!("\"{schema}\".\"{table}\"")))]
}

/// CRC-32 as in zlib and Ethernet.
fn crc32(text: &str) -> u32 {
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

    #[test]
    fn a_reader_is_no_migrator() {
        let row = |values: [&str; 4]| values.map(|value| Some(value.to_owned())).to_vec();
        let rows = [
            row(["advisory", "7", "ExclusiveLock", "1"]),
            row(["relation", "0", "AccessShareLock", "3"]),
            row(["relation", "0", "ShareUpdateExclusiveLock", "4"]),
            row(["advisory", "8", "ExclusiveLock", "2"]),
        ];
        let held = live(&rows, &[8]);
        assert_eq!(
            held,
            [
                Held::Live("its advisory lock is held (server process 2)".to_owned()),
                Held::Live(
                    "the table is locked in mode ShareUpdateExclusiveLock (server process 4)"
                        .to_owned()
                ),
            ]
        );
    }
}
