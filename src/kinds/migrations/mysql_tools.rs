//! The tools' differences on MySQL and MariaDB: names of locks, and SELECTs that only PostgreSQL
//! understands.
//!
//! Source: each tool's own code for MySQL, and what the real tools left in MariaDB 10.11.

use super::{
    locks::crc32,
    tool::{Home, Lock, Tool},
    tools::{LIQUIBASE_HOLDERS, LIQUIBASE_RELEASE, UNKNOWN},
};

/// A tool's peculiarities on MySQL.
struct Difference {
    tool: &'static str,
    /// The table that the entry is for; empty: all of the tool's.
    table: &'static str,
    /// Another SELECT, or nothing.
    rows: &'static str,
    /// Its locks here.
    locks: &'static [Lock],
}

const SAME: Difference = Difference { tool: "", table: "", rows: "", locks: &[] };

/// Tools that do not know MySQL, or keep their tables in schemas that it does not have.
const OTHERS: [&str; 6] =
    ["tern", "pgroll", "node-pg-migrate", "graphile-migrate", "supabase", "sqitch"];

#[rustfmt::skip]
static DIFFERENCES: &[Difference] = &[
    Difference { tool: "golang-migrate", locks: &[Lock::Named(golang_migrate)], ..SAME },
    Difference { tool: "rails", locks: &[Lock::Named(rails)], ..SAME },
    Difference { tool: "sqlx", locks: &[Lock::Named(sqlx)], ..SAME },
    Difference { tool: "prisma", locks: &[Lock::Named(|_, _, _| "prisma_migrate".to_owned())], ..SAME },
    Difference { tool: "kysely", locks: &[Lock::Named(|_, _, _| "ea586330-2c93-47c8-908d-981d9d270f9d".to_owned())], ..SAME },
    Difference { tool: "atlas", locks: &[Lock::Named(|_, _, _| "atlas_migrate_execute".to_owned())], ..SAME },
    Difference {
        tool: "flyway",
        rows: "SELECT coalesce(t.version, 'R:' || t.script), \
            CASE WHEN NOT t.success THEN 'failed' WHEN t.type LIKE 'UNDO%' OR t.type = 'DELETE' THEN 'reverted' \
            WHEN t.type = 'SCHEMA' THEN 'marker' WHEN t.type LIKE '%BASELINE' THEN 'baseline' ELSE 'applied' END, t.script, \
            'R:' || substring_index(t.script, '/', -1) \
            FROM {t} t WHERE NOT EXISTS (SELECT 1 FROM {t} u WHERE u.installed_rank > t.installed_rank \
            AND coalesce(u.version, 'R:' || u.script) = coalesce(t.version, 'R:' || t.script))",
        locks: &[Lock::Named(flyway)],
        ..SAME
    },
    Difference {
        tool: "goose",
        rows: "SELECT t.version_id, CASE WHEN t.is_applied THEN 'applied' ELSE 'reverted' END FROM {t} t \
            WHERE t.version_id > 0 AND NOT EXISTS (SELECT 1 FROM {t} u WHERE u.version_id = t.version_id AND u.id > t.id)",
        ..SAME
    },
    Difference {
        tool: "sequel",
        table: "schema_migrations",
        rows: "SELECT t.filename, 'applied', substring_index(t.filename, '_', 1), trim(TRAILING '.rb' FROM t.filename) FROM {t} t",
        ..SAME
    },
    Difference {
        tool: "liquibase",
        locks: &[Lock::Row {
            table: "DATABASECHANGELOGLOCK",
            holders: LIQUIBASE_HOLDERS,
            release: LIQUIBASE_RELEASE,
        }],
        ..SAME
    },
    Difference {
        tool: "aerich",
        rows: "SELECT t.app || '.' || t.version, 'applied', t.app || '.' || trim(TRAILING '.py' FROM t.version) FROM {t} t ORDER BY t.id",
        ..SAME
    },
    Difference { tool: "db-migrate", rows: "SELECT trim(LEADING '/' FROM t.name), 'applied' FROM {t} t", ..SAME },
];

/// Returns what cannot be known of a tool on MySQL, beside what cannot be known elsewhere.
pub(super) fn unknown_on_mysql(tool: &Tool) -> &'static [&'static str] {
    match tool.name {
        _ if on_mysql(tool).is_none() => &[],
        "sqlx" => &[REMAINS, "on MariaDB, whether what is recorded as failed still runs"],
        _ => &[REMAINS],
    }
}

/// DDL is not transactional.
const REMAINS: &str = "on MySQL, the half that a failed migration leaves";

/// Returns a tool's form for MySQL, or `None` if the tool does not support MySQL.
///
/// Locks that are rows in a table are the same. Advisory locks are PostgreSQL's own.
pub(super) fn on_mysql(tool: &Tool) -> Option<Tool> {
    if OTHERS.contains(&tool.name) {
        return None;
    }
    let is_meant = |difference: &&Difference| {
        difference.tool == tool.name && ["", tool.table].contains(&difference.table)
    };
    let mut tool = *tool;
    let rows_of_locks = tool.locks.iter().all(|lock| matches!(lock, Lock::Row { .. }));
    let difference = DIFFERENCES.iter().find(is_meant).unwrap_or(&SAME);
    // A table of the operator's own has a SELECT that fits every database.
    if !difference.rows.is_empty() && tool.rows != UNKNOWN.rows {
        tool.rows = difference.rows;
    }
    if !rows_of_locks || !difference.locks.is_empty() {
        tool.locks = difference.locks;
    }
    // A schema is a database here, and a tool keeps its table in the application's own.
    tool.home = Home::SearchPath;
    if tool.name == "liquibase" {
        tool.table = "DATABASECHANGELOG";
    }
    Some(tool)
}

/// Rails: `2053462845 * crc32(database)` in decimal (activerecord `migration.rb`).
fn rails(_: &str, _: &str, database: &str) -> String {
    (2_053_462_845_u64 * u64::from(crc32(database))).to_string()
}

/// sqlx: `0x3d32ad9e * crc32(database)` in hexadecimal (sqlx-mysql `migrate.rs`).
fn sqlx(_: &str, _: &str, database: &str) -> String {
    format!("{:x}", 0x3d32_ad9e_u64 * u64::from(crc32(database)))
}

/// golang-migrate: `crc32("DATABASE:TABLE") * 1486364155` in 32 bits, in decimal
/// (`database/util.go`).
fn golang_migrate(_: &str, table: &str, database: &str) -> String {
    crc32(&format!("{database}:{table}")).wrapping_mul(1_486_364_155).to_string()
}

/// Flyway: Java's hash of the quoted name (`MySQLNamedLockTemplate.java`).
fn flyway(schema: &str, table: &str, _: &str) -> String {
    let quoted = format!("`{schema}`.`{table}`");
    let hash = quoted
        .encode_utf16()
        .fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    format!("Flyway-{hash}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::migrations::tools::TOOLS;

    #[test]
    fn names_of_locks_are_those_that_the_tools_take() {
        // Seen while sqlx migrated MariaDB.
        assert_eq!(sqlx("", "", "mg_sqlx"), "17cd1628f66e78ba");
        assert_eq!(rails("", "", "x"), (2_053_462_845_u64 * 2_363_233_923).to_string());
    }

    #[test]
    fn every_difference_is_that_of_a_known_tool() {
        for difference in DIFFERENCES {
            let known = TOOLS.iter().any(|tool| {
                tool.name == difference.tool && ["", tool.table].contains(&difference.table)
            });
            assert!(known, "{}", difference.tool);
        }
        for tool in TOOLS.iter().filter_map(on_mysql) {
            // Liquibase joins its names with `::`; elsewhere it is PostgreSQL's cast.
            let rows = tool.rows.replace("'::'", "");
            // MySQL 5.7 has no regular expressions that replace.
            for foreign in ["regexp_", "DISTINCT ON", "::", " ~ ", "from '^", "EXISTS (SELECT FROM"]
            {
                assert!(!rows.contains(foreign), "{}: {foreign}", tool.name);
            }
        }
    }
}
