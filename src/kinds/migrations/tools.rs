//! The tools. Adding one is one entry here, and its fixture under tests/fixtures/migrations.
//!
//! Where several entries fit a table, the one whose shape names more of its columns is the table's;
//! see `detect`. The facts come from each tool's source, or were seen with the real tool.

use super::{
    dir::Listing,
    key::{Order, as_is, dotted, leading_number, lower_case, strip_extension, strip_zeros},
    locks,
    readers::{
        alembic, atlas, django, doctrine, drizzle, efcore, flyway, graphile, liquibase, sequel,
        sqitch, typeorm,
    },
    row::State,
    tool::{
        EACH,
        Family::*,
        Files, Home, Lock, Reader, Record, Scope,
        Shape::{AtLeast, Exactly, Little},
        Tool,
    },
    wanted::Wanted,
};
use crate::sort::sort;

const DECLARATIONS: &str = r"\.d\.[cm]?ts$";
const SCRIPTS: &str = r"^(.+)\.[cm]?[jt]s$";
const VERSION: &str = "SELECT t.version, 'applied' FROM {t} t";
const NAME: &str = "SELECT t.name, 'applied' FROM {t} t";
const FLYWAY: &str = "SELECT DISTINCT ON (coalesce(t.version, 'R:' || t.script)) coalesce(t.version, 'R:' || t.script), \
    CASE WHEN NOT t.success THEN 'failed' WHEN t.type ~ '^UNDO' OR t.type = 'DELETE' THEN 'reverted' \
    WHEN t.type = 'SCHEMA' THEN 'marker' WHEN t.type ~ 'BASELINE$' THEN 'baseline' ELSE 'applied' END, t.script, \
    'R:' || regexp_replace(t.script, '^.*/', '') \
    FROM {t} t ORDER BY coalesce(t.version, 'R:' || t.script), t.installed_rank DESC";

pub(super) const LIQUIBASE_HOLDERS: &str = "SELECT concat_ws(' since ', coalesce(nullif(l.lockedby, ''), 'somebody'), l.lockgranted) \
    FROM {l} l WHERE l.locked";
pub(super) const LIQUIBASE_RELEASE: &str = "liquibase release-locks takes a stale one away";

/// A reader that needs file names only.
const fn by_names(
    recognises: fn(&Listing) -> bool,
    read: fn(&Listing) -> Result<Wanted, String>,
) -> Files {
    Files::Read(Reader { recognises, read, opens_files: false })
}

/// A reader that opens files.
const fn by_contents(
    recognises: fn(&Listing) -> bool,
    read: fn(&Listing) -> Result<Wanted, String>,
) -> Files {
    Files::Read(Reader { recognises, read, opens_files: true })
}

/// A file name's capture is the key.
const fn named(scope: Scope, pattern: &'static str) -> Files {
    Files::Named { scope, pattern, except: "" }
}

/// A file name's capture is the key, unless the name matches `except`.
const fn named_but(scope: Scope, pattern: &'static str, except: &'static str) -> Files {
    Files::Named { scope, pattern, except }
}

/// Every tool.
pub(super) static TOOLS: &[Tool] = &[
    Tool {
        name: "golang-migrate",
        table: "schema_migrations",
        shape: Exactly(&[("version", Int), ("dirty", Bool)]),
        rows: "SELECT t.version, CASE WHEN t.dirty THEN 'dirty' ELSE 'applied' END FROM {t} t",
        states: &[State::Dirty],
        key: strip_zeros,
        order: Order::Number,
        record: Record::Latest,
        locks: &[Lock::Advisory(locks::golang_migrate)],
        files: named(Scope::Flat, r"^([0-9]+)_.*\.up\..*$"),
        example: "000001_name.up.sql",
        unknown: "whether every migration below the version was applied: one row is the whole record",
        ..EACH
    },
    Tool {
        name: "ecto",
        table: "schema_migrations",
        shape: Exactly(&[("version", Int), ("inserted_at", Time)]),
        rows: VERSION,
        key: strip_zeros,
        order: Order::Number,
        files: named(Scope::Deep, r"^([0-9]+)_.*\.exs$"),
        example: "20240101120000_name.exs",
        unknown: "with `migration_lock: :pg_advisory_lock`, a migrator at work; a migration that has failed: it has no row",
        ..EACH
    },
    Tool {
        name: "sequel",
        table: "schema_migrations",
        shape: Exactly(&[("filename", Str)]),
        rows: "SELECT t.filename, 'applied', substring(t.filename from '^[0-9]+'), regexp_replace(t.filename, '[.]rb$', '') FROM {t} t",
        key: lower_case,
        locks: &[Lock::Advisory(|_, _, _| vec![4_966_325_471_869_609_408])],
        files: by_names(sequel::recognises_timestamps, sequel::timestamps),
        example: "20240101120000_name.rb",
        ..EACH
    },
    Tool {
        name: "sequel",
        table: "schema_info",
        // Sequel's plug-ins may add columns.
        shape: Little(&[("version", Int)], &[]),
        rows: VERSION,
        key: strip_zeros,
        order: Order::Number,
        record: Record::Latest,
        locks: &[Lock::Advisory(|_, _, _| vec![4_966_325_471_869_609_408])],
        files: by_names(sequel::recognises_integers, sequel::integers),
        example: "001_name.rb",
        unknown: "whether every migration below the number was applied: one row is the whole record",
        ..EACH
    },
    Tool {
        name: "supabase",
        table: "schema_migrations",
        home: Home::Only("supabase_migrations"),
        shape: AtLeast(&[("version", Str)]),
        rows: VERSION,
        order: Order::Number,
        files: named(Scope::Flat, r"^([0-9]+)_.*\.sql$"),
        example: "20240101120000_name.sql",
        ..EACH
    },
    Tool {
        name: "rails",
        table: "schema_migrations",
        shape: Exactly(&[("version", Str)]),
        sibling: Some("ar_internal_metadata"),
        rows: VERSION,
        key: strip_zeros,
        order: Order::Number,
        locks: &[Lock::Advisory(locks::rails)],
        files: named(Scope::Deep, r"^([0-9]+)_.*\.rb$"),
        example: "20240101120000_name.rb",
        unknown: "a migration that runs or has failed: it has no row, as if it had not begun; whether rows come from `db:schema:load`",
        ..EACH
    },
    Tool {
        name: "dbmate",
        table: "schema_migrations",
        shape: Exactly(&[("version", Str)]),
        rows: VERSION,
        order: Order::Number,
        files: named(Scope::Flat, r"^([0-9]+).*\.sql$"),
        example: "20240101120000_name.sql",
        ..EACH
    },
    Tool {
        name: "typeorm",
        table: "migrations",
        shape: Exactly(&[("id", Int), ("timestamp", Int), ("name", Str)]),
        rows: r#"SELECT t."timestamp", 'applied', t.name FROM {t} t"#,
        key: strip_zeros,
        order: Order::Number,
        files: by_contents(typeorm::recognises, typeorm::read),
        example: "1700000000000-Name.js",
        ..EACH
    },
    Tool {
        name: "laravel",
        table: "migrations",
        shape: Exactly(&[("id", Int), ("migration", Str), ("batch", Int)]),
        rows: "SELECT t.migration, 'applied' FROM {t} t",
        files: named(Scope::Flat, r"^([^.].*_.*)\.php$"),
        example: "2024_01_01_000000_name.php",
        ..EACH
    },
    Tool {
        name: "db-migrate",
        table: "migrations",
        shape: Exactly(&[("id", Int), ("name", Str), ("run_on", Time)]),
        mark: "t.name LIKE '/%'",
        rows: "SELECT ltrim(t.name, '/'), 'applied' FROM {t} t",
        key: strip_extension,
        files: named_but(Scope::Flat, r"^(.+)\.(?:[cm]?[jt]s|coffee)$", DECLARATIONS),
        example: "20240101120000-name.js",
        ..EACH
    },
    Tool {
        name: "gormigrate",
        table: "migrations",
        shape: Exactly(&[("id", Str)]),
        refused: Some(
            "its migrations are compiled in, so that a row cannot be told from one of another release",
        ),
        unknown: "",
        ..EACH
    },
    Tool {
        name: "graphile-migrate",
        table: "migrations",
        home: Home::Only("graphile_migrate"),
        shape: AtLeast(&[("hash", Str), ("previous_hash", Str), ("filename", Str), ("date", Time)]),
        rows: "SELECT t.filename, 'applied' FROM {t} t",
        key: strip_extension,
        locks: &[Lock::Advisory(|_, _, _| vec![4_727_445_306_447_283])],
        files: by_names(graphile::recognises, graphile::read),
        example: "committed/000001-name.sql",
        ..EACH
    },
    Tool {
        name: "pgroll",
        table: "migrations",
        home: Home::Only("pgroll"),
        shape: AtLeast(&[("schema", Any), ("name", Str), ("migration", Json), ("done", Bool)]),
        // A new release waits for the start, because the old release must be gone before
        // completion. The start ends with the schema of the new version.
        rows: "SELECT t.name, CASE WHEN t.done OR EXISTS (SELECT FROM pg_catalog.pg_namespace n \
            WHERE n.nspname = t.schema || '_' || t.name) THEN 'applied' ELSE 'unfinished' END \
            FROM {t} t WHERE t.schema = coalesce(pg_catalog.current_schema(), 'public')",
        states: &[State::Unfinished],
        files: named(Scope::Flat, r"^(.+)\.(?:json|ya?ml)$"),
        example: "01_name.yaml",
        unknown: "whether a started migration is complete: it counts once the schema of its version is there, since the new release needs no more",
        ..EACH
    },
    Tool {
        name: "tern",
        table: "schema_version",
        home: Home::Also("public"),
        shape: Exactly(&[("version", Int)]),
        rows: VERSION,
        key: strip_zeros,
        order: Order::Number,
        record: Record::Latest,
        locks: &[Lock::Advisory(|_, _, _| vec![9_628_173_550_095_224])],
        files: named(Scope::Flat, r"^([0-9]+)_.+\.sql$"),
        example: "001_name.sql",
        unknown: "whether every migration below the version was applied: one row is the whole record",
        ..EACH
    },
    Tool {
        name: "flyway",
        table: "flyway_schema_history",
        shape: AtLeast(&[
            ("installed_rank", Int),
            ("version", Str),
            ("script", Str),
            ("success", Bool),
        ]),
        rows: FLYWAY,
        states: &[State::Failed, State::Reverted, State::Marker, State::Baseline],
        key: dotted,
        order: Order::Dotted,
        locks: &[Lock::Advisory(locks::flyway)],
        files: by_names(flyway::recognises, flyway::read),
        example: "V1_2__name.sql",
        unknown: "migrations in Java, or under other prefixes than the default ones; whether a repeatable one ran in its latest form; a migrator between two migrations",
        ..EACH
    },
    Tool {
        name: "flyway",
        table: "schema_version",
        shape: AtLeast(&[
            ("installed_rank", Int),
            ("version", Str),
            ("script", Str),
            ("success", Bool),
        ]),
        rows: FLYWAY,
        states: &[State::Failed, State::Reverted, State::Marker, State::Baseline],
        key: dotted,
        order: Order::Dotted,
        locks: &[Lock::Advisory(locks::flyway)],
        files: by_names(flyway::recognises, flyway::read),
        example: "V1_2__name.sql",
        unknown: "migrations in Java, or under other prefixes than the default ones; whether a repeatable one ran in its latest form; a migrator between two migrations",
        ..EACH
    },
    Tool {
        name: "sqlx",
        table: "_sqlx_migrations",
        shape: AtLeast(&[
            ("version", Int),
            ("success", Bool),
            ("checksum", Any),
            ("execution_time", Int),
        ]),
        rows: "SELECT t.version, CASE WHEN t.success THEN 'applied' ELSE 'failed' END FROM {t} t",
        states: &[State::Failed],
        key: strip_zeros,
        order: Order::Number,
        locks: &[Lock::Advisory(locks::sqlx)],
        files: named_but(Scope::Flat, r"^([0-9]+)_.*\.sql$", r"\.down\.sql$"),
        example: "20240101120000_name.sql",
        ..EACH
    },
    Tool {
        name: "diesel",
        table: "__diesel_schema_migrations",
        shape: AtLeast(&[("version", Str), ("run_on", Time)]),
        rows: VERSION,
        key: |key| key.split('_').next().unwrap_or(key).replace('-', ""),
        files: named(Scope::Path, r"^([^/.][^/]*)/up\.sql$"),
        example: "2024-01-01-120000_name/up.sql",
        ..EACH
    },
    Tool {
        name: "refinery",
        table: "refinery_schema_history",
        shape: AtLeast(&[("version", Int), ("name", Str), ("applied_on", Str), ("checksum", Str)]),
        rows: VERSION,
        key: strip_zeros,
        order: Order::Number,
        files: named(Scope::Deep, r"^[U|V]([0-9]+)(?:\.[0-9]+)?__\w+\.(?:rs|sql)$"),
        example: "V1__name.sql",
        ..EACH
    },
    Tool {
        name: "sea-orm",
        table: "seaql_migrations",
        shape: AtLeast(&[("version", Str), ("applied_at", Int)]),
        rows: VERSION,
        files: named(Scope::Flat, r"^(m[0-9]\w*)\.rs$"),
        example: "m20240101_000001_name.rs",
        unknown: "files that the list in `migrations()` leaves out; a migration that runs or has failed has no row",
        ..EACH
    },
    Tool {
        name: "prisma",
        table: "_prisma_migrations",
        shape: AtLeast(&[
            ("migration_name", Str),
            ("finished_at", Time),
            ("rolled_back_at", Time),
            ("logs", Str),
        ]),
        rows: "SELECT t.migration_name, CASE WHEN t.rolled_back_at IS NOT NULL THEN 'rolled back' \
            WHEN t.finished_at IS NOT NULL THEN 'applied' WHEN coalesce(t.logs, '') <> '' THEN 'failed' ELSE 'unfinished' END FROM {t} t",
        states: &[State::RolledBack, State::Failed, State::Unfinished],
        locks: &[Lock::Advisory(|_, _, _| vec![72_707_369])],
        files: named(Scope::Path, r"^([^/]+)/migration\.sql$"),
        example: "20240101120000_name/migration.sql",
        unknown: "with its advisory lock disabled, whether an unfinished migration still runs",
        ..EACH
    },
    Tool {
        name: "drizzle",
        table: "__drizzle_migrations",
        home: Home::Also("drizzle"),
        shape: AtLeast(&[("hash", Str), ("created_at", Int), ("name", Str)]),
        rows: "SELECT t.created_at, 'applied', t.name, t.hash FROM {t} t",
        order: Order::Number,
        files: by_contents(drizzle::recognises, drizzle::read),
        example: "20240101120000_name/migration.sql",
        unknown: "whether a file was changed after it was applied; all that is pending runs in one transaction, unseen",
        ..EACH
    },
    Tool {
        name: "drizzle",
        table: "__drizzle_migrations",
        home: Home::Also("drizzle"),
        shape: AtLeast(&[("hash", Str), ("created_at", Int)]),
        rows: "SELECT t.created_at, 'applied', t.hash FROM {t} t",
        order: Order::Number,
        files: by_contents(drizzle::recognises, drizzle::read),
        example: "meta/_journal.json",
        unknown: "whether a file was changed after it was applied; all that is pending runs in one transaction, unseen",
        ..EACH
    },
    Tool {
        name: "goose",
        table: "goose_db_version",
        shape: AtLeast(&[("id", Int), ("version_id", Int), ("is_applied", Bool)]),
        rows: "SELECT DISTINCT ON (t.version_id) t.version_id, CASE WHEN t.is_applied THEN 'applied' ELSE 'reverted' END \
            FROM {t} t WHERE t.version_id > 0 ORDER BY t.version_id, t.id DESC",
        states: &[State::Reverted],
        key: strip_zeros,
        order: Order::Number,
        locks: &[
            Lock::Advisory(|_, _, _| vec![4_097_083_626]),
            Lock::Row {
                table: "goose_lock",
                holders: "SELECT coalesce(l.locked_by, 'somebody') || ' until ' || l.lease_expires_at FROM {l} l \
                    WHERE l.locked AND l.lease_expires_at > now()",
                release: "it ends with its lease",
            },
        ],
        files: named_but(Scope::Flat, r"^([0-9]+)_.*\.(?:sql|go)$", r"_test\.go$|^0+_"),
        example: "00001_name.sql",
        unknown: "without its session locker, a migrator at work; a migration that has failed: it has no row",
        ..EACH
    },
    Tool {
        name: "alembic",
        table: "alembic_version",
        shape: AtLeast(&[("version_num", Str)]),
        rows: "SELECT t.version_num, 'applied' FROM {t} t",
        order: Order::None,
        record: Record::Heads,
        files: by_contents(alembic::recognises, alembic::read),
        example: "versions/1975ea83b712_name.py",
        unknown: "what a head that `dir` does not know comes after: it is taken to be later; a migrator at work",
        ..EACH
    },
    Tool {
        name: "django",
        table: "django_migrations",
        shape: AtLeast(&[("app", Str), ("name", Str), ("applied", Time)]),
        rows: "SELECT t.app || '.' || t.name, 'applied' FROM {t} t ORDER BY t.applied",
        order: Order::None,
        files: by_contents(django::recognises, django::read),
        example: "shop/migrations/0001_initial.py",
        unknown: "applications whose label is not their directory's name; a migrator at work, a migration that has failed",
        ..EACH
    },
    Tool {
        name: "aerich",
        table: "aerich",
        // MariaDB has no type for JSON.
        shape: AtLeast(&[("version", Str), ("app", Str), ("content", Any)]),
        rows: "SELECT t.app || '.' || t.version, 'applied', t.app || '.' || regexp_replace(t.version, '[.]py$', '') FROM {t} t ORDER BY t.id",
        order: Order::None,
        files: by_names(django::recognises_aerich, django::read_aerich),
        example: "models/0_20240101120000_init.py",
        ..EACH
    },
    Tool {
        name: "yoyo",
        table: "_yoyo_migration",
        shape: AtLeast(&[("migration_hash", Str), ("migration_id", Str)]),
        rows: "SELECT t.migration_id, 'applied' FROM {t} t",
        key: strip_extension,
        locks: &[Lock::Row {
            table: "yoyo_lock",
            holders: "SELECT 'process ' || l.pid || coalesce(' since ' || l.ctime, '') FROM {l} l",
            release: "yoyo break-lock takes a stale one away",
        }],
        files: named_but(
            Scope::Flat,
            r"^(.+)\.(?:py|sql)$",
            r"\.rollback\.sql$|^post-apply|^_tmp_yoyonew",
        ),
        example: "0001.name.sql",
        ..EACH
    },
    Tool {
        name: "knex",
        table: "knex_migrations",
        shape: AtLeast(&[("id", Int), ("name", Str), ("batch", Int), ("migration_time", Time)]),
        rows: NAME,
        key: strip_extension,
        locks: &[Lock::Row {
            table: "{}_lock",
            holders: "SELECT 'somebody' FROM {l} l WHERE l.is_locked <> 0",
            release: "knex migrate:unlock takes a stale one away",
        }],
        files: named_but(
            Scope::Flat,
            r"^(.+)\.(?:[cm]?[jt]s|co|coffee|eg|iced|ls|litcoffee)$",
            DECLARATIONS,
        ),
        example: "20240101120000_name.js",
        unknown: "a migration that runs or has failed: it has no row, as if it had not begun",
        ..EACH
    },
    Tool {
        name: "sequelize",
        table: "SequelizeMeta",
        shape: Little(&[("name", Str)], &[("createdAt", Time), ("updatedAt", Time)]),
        rows: NAME,
        key: strip_extension,
        files: named_but(Scope::Flat, SCRIPTS, DECLARATIONS),
        example: "20240101120000-name.js",
        unknown: "a migrator at work; what a failed migration left behind: it has no row, and runs without a transaction",
        ..EACH
    },
    Tool {
        name: "mikro-orm",
        table: "mikro_orm_migrations",
        shape: AtLeast(&[("name", Str), ("executed_at", Time)]),
        rows: NAME,
        key: strip_extension,
        // A project may choose its files' names. An index serves a list of classes in the code.
        files: named_but(Scope::Flat, SCRIPTS, r"\.d\.[cm]?ts$|^index\."),
        example: "Migration20240101120000.js",
        ..EACH
    },
    Tool {
        name: "kysely",
        table: "kysely_migration",
        shape: AtLeast(&[("name", Str), ("timestamp", Str)]),
        rows: NAME,
        key: strip_extension,
        locks: &[Lock::Advisory(|_, _, _| vec![3_853_314_791_062_309_107])],
        files: named_but(Scope::Flat, SCRIPTS, DECLARATIONS),
        example: "20240101120000_name.js",
        ..EACH
    },
    Tool {
        name: "node-pg-migrate",
        table: "pgmigrations",
        shape: Little(&[("id", Int), ("name", Str), ("run_on", Time)], &[]),
        mark: "t.name NOT LIKE '/%'",
        rows: NAME,
        key: strip_extension,
        locks: &[Lock::Advisory(|_, _, _| vec![7_241_865_325_823_964])],
        files: named_but(
            Scope::Flat,
            // Only SQL has a file for each direction.
            r"^([^.].*?)(?:(?:\.up|\.down)?\.sql|\.[cm]?[jt]s)$",
            DECLARATIONS,
        ),
        example: "1700000000000_name.js",
        ..EACH
    },
    Tool {
        name: "postgrator",
        table: "schemaversion",
        shape: AtLeast(&[("version", Int), ("name", Str), ("md5", Str)]),
        rows: "SELECT t.version, 'applied' FROM {t} t WHERE t.version > 0",
        key: strip_zeros,
        order: Order::Number,
        files: named(Scope::Flat, r"^([0-9]+)\.do(?:\..*)?\.(?:sql|[cm]?[jt]s)$"),
        example: "001.do.name.sql",
        ..EACH
    },
    Tool {
        name: "liquibase",
        table: "databasechangelog",
        shape: AtLeast(&[
            ("id", Str),
            ("author", Str),
            ("filename", Str),
            ("exectype", Str),
            ("orderexecuted", Int),
        ]),
        rows: "SELECT t.id || '::' || t.author || '::' || t.filename, CASE WHEN t.exectype = 'FAILED' THEN 'failed' ELSE 'applied' END, \
            t.id || '::' || t.author, t.filename || '::' || t.id || '::' || t.author, t.tag FROM {t} t ORDER BY t.orderexecuted",
        states: &[State::Failed],
        order: Order::None,
        locks: &[Lock::Row {
            table: "databasechangeloglock",
            holders: LIQUIBASE_HOLDERS,
            release: LIQUIBASE_RELEASE,
        }],
        files: by_contents(liquibase::recognises, liquibase::read),
        unknown: "which changesets there should be: a changelog is a program, so there is no `dir`; a changeset that has failed has no row",
        ..EACH
    },
    Tool {
        name: "efcore",
        table: "__EFMigrationsHistory",
        shape: AtLeast(&[("MigrationId", Str), ("ProductVersion", Str)]),
        rows: r#"SELECT t."MigrationId", 'applied' FROM {t} t"#,
        key: lower_case,
        files: by_contents(efcore::recognises, efcore::read),
        example: "20240101120000_Name.cs",
        unknown: "before 9, a migrator at work; a migration that has failed: it has no row",
        ..EACH
    },
    Tool {
        name: "efcore",
        table: "__EFMigrationsHistory",
        shape: AtLeast(&[("migration_id", Str), ("product_version", Str)]),
        rows: "SELECT t.migration_id, 'applied' FROM {t} t",
        key: lower_case,
        files: by_contents(efcore::recognises, efcore::read),
        example: "20240101120000_Name.cs",
        unknown: "before 9, a migrator at work; a migration that has failed: it has no row",
        ..EACH
    },
    Tool {
        name: "atlas",
        table: "atlas_schema_revisions",
        home: Home::Also("atlas_schema_revisions"),
        shape: AtLeast(&[
            ("version", Str),
            ("type", Int),
            ("applied", Int),
            ("total", Int),
            ("error", Str),
        ]),
        // The types are bits: 1 baseline, 2 executed, 4 resolved by hand.
        rows: "SELECT t.version, CASE WHEN t.type & 4 <> 0 THEN 'applied' WHEN coalesce(t.error, '') <> '' THEN 'failed' \
            WHEN t.applied < t.total THEN 'unfinished' WHEN t.type & 1 <> 0 THEN 'baseline' ELSE 'applied' END \
            FROM {t} t WHERE left(t.version, 1) <> '.'",
        states: &[State::Failed, State::Unfinished, State::Baseline],
        locks: &[Lock::Advisory(|_, _, _| vec![2_686_470_616])],
        files: by_names(atlas::recognises, atlas::read),
        example: "20240101120000_name.sql",
        unknown: "what runs in a transaction, unseen until it is committed",
        ..EACH
    },
    Tool {
        name: "sqitch",
        table: "changes",
        home: Home::Only("sqitch"),
        shape: AtLeast(&[
            ("change_id", Str),
            ("change", Str),
            ("project", Str),
            ("committed_at", Time),
        ]),
        reads: &["events", "tags"],
        rows: "SELECT c.project || ':' || c.change || coalesce('#' || nullif(c.n, 1), ''), 'applied', c.change, \
            (SELECT string_agg(g.tag, chr(10)) FROM {s}.tags g WHERE g.change_id = c.change_id) \
            FROM (SELECT t.*, row_number() OVER (PARTITION BY t.project, t.change ORDER BY t.committed_at) AS n FROM {t} t) c \
            UNION ALL SELECT e.project || ':' || e.change, 'failed', e.change, NULL FROM (SELECT DISTINCT ON (v.project, v.change) v.* \
            FROM {s}.events v ORDER BY v.project, v.change, v.committed_at DESC) e \
            WHERE e.event = 'fail' AND NOT EXISTS (SELECT FROM {t} t WHERE t.change_id = e.change_id)",
        states: &[State::Failed],
        order: Order::None,
        locks: &[Lock::Advisory(|_, _, _| vec![75_474_063])],
        files: by_contents(sqitch::recognises, sqitch::read),
        example: "sqitch.plan",
        unknown: "whether a deployed change was verified",
        ..EACH
    },
    Tool {
        name: "phinx",
        table: "phinxlog",
        shape: AtLeast(&[("version", Int), ("start_time", Time), ("end_time", Time)]),
        rows: VERSION,
        key: leading_number,
        order: Order::Number,
        files: named(Scope::Flat, r"^([0-9]{14}|[0-9]+(?:_\w+))\.php$"),
        example: "20240101120000_name.php",
        ..EACH
    },
    Tool {
        name: "doctrine",
        table: "doctrine_migration_versions",
        shape: AtLeast(&[("version", Str), ("executed_at", Time)]),
        rows: VERSION,
        key: doctrine::number,
        files: by_names(doctrine::recognises, doctrine::read),
        example: "Version20240101120000.php",
        ..EACH
    },
    Tool {
        name: "doctrine",
        table: "migration_versions",
        shape: Little(&[("version", Str)], &[]),
        rows: VERSION,
        key: doctrine::number,
        files: by_names(doctrine::recognises, doctrine::read_numbers),
        example: "Version20240101120000.php",
        ..EACH
    },
    Tool {
        name: "sql-migrate",
        table: "gorp_migrations",
        shape: AtLeast(&[("id", Str), ("applied_at", Time)]),
        rows: "SELECT t.id, 'applied' FROM {t} t",
        files: named(Scope::Flat, r"^(.+\.sql)$"),
        example: "1_name.sql",
        ..EACH
    },
    Tool {
        name: "bun",
        table: "bun_migrations",
        shape: AtLeast(&[("name", Str), ("group_id", Int)]),
        files: named(Scope::Flat, r"^([0-9]{1,14})_[0-9a-z_\-]+\.(?:sql|go|up\.sql)$"),
        refused: Some("it records a migration before running it, so that a row proves nothing"),
        unknown: "",
        ..EACH
    },
];

/// A table that no known tool writes, as `table`, `column` and `where` describe it.
pub(super) static UNKNOWN: Tool =
    Tool { name: "", rows: "SELECT t.{c}, 'applied' FROM {t} t WHERE ({w}\n)", key: as_is, ..EACH };

/// The entries of one tool.
pub(super) fn named_tool(name: &str) -> impl Iterator<Item = &'static Tool> {
    TOOLS.iter().filter(move |tool| tool.name == name)
}

/// Every tool's name, once, in the order of the table.
pub(super) fn names() -> Vec<&'static str> {
    let mut names: Vec<_> = TOOLS.iter().map(|tool| tool.name).collect();
    sort(&mut names);
    names.dedup();
    names
}
