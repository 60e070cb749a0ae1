//! Tables of tools that cannot run here, made by the statements of the tools' own code: each
//! SELECT is one that MariaDB runs.

use super::live::Gate;
use crate::support::MariaDb;
use crate::support::look::{not_ready, ready};

/// Tool, a migration that is applied, the statements. No other migration is applied.
const TABLES: &[(&str, &str, &str)] = &[
    (
        "golang-migrate",
        "2",
        "create table schema_migrations (version bigint primary key, dirty boolean not null);
         insert into schema_migrations values (2, 0)",
    ),
    (
        "ecto",
        "20240101",
        "create table schema_migrations (version bigint primary key, inserted_at datetime);
         insert into schema_migrations values (20240101, now())",
    ),
    (
        "laravel",
        "2024_01_01_000000_a",
        "create table migrations (id int unsigned auto_increment primary key, migration \
         varchar(255) not null, batch int not null);
         insert into migrations values (1, '2024_01_01_000000_a', 1)",
    ),
    (
        "flyway",
        "2",
        "create table flyway_schema_history (installed_rank int primary key, version varchar(50), \
         description varchar(200) not null, type varchar(20) not null, script varchar(1000) not \
         null, checksum int, installed_by varchar(100) not null, installed_on timestamp not null \
         default current_timestamp, execution_time int not null, success bool not null);
         insert into flyway_schema_history (installed_rank, version, description, type, script, \
         installed_by, execution_time, success) values (1, '1', 'a', 'SQL', 'V1__a.sql', 'u', 1, 1),
         (2, '2', 'b', 'SQL', 'V2__b.sql', 'u', 1, 1), (3, null, 'r', 'SQL', 'R__v.sql', 'u', 1, 1),
         (4, '3', 'c', 'SQL', 'V3__c.sql', 'u', 1, 1), (5, '3', 'c', 'UNDO_SQL', 'U3__c.sql', 'u', \
         1, 1)",
    ),
    (
        "diesel",
        "20240101120000",
        "create table __diesel_schema_migrations (version varchar(50) primary key, run_on \
         timestamp default current_timestamp);
         insert into __diesel_schema_migrations (version) values ('20240101120000')",
    ),
    (
        "refinery",
        "2",
        "create table refinery_schema_history (version int primary key, name varchar(255), \
         applied_on varchar(255), checksum varchar(255));
         insert into refinery_schema_history values (2, 'a', 'x', 'y')",
    ),
    (
        "sea-orm",
        "m20240101_000001_a",
        "create table seaql_migrations (version varchar(255) primary key, applied_at bigint);
         insert into seaql_migrations values ('m20240101_000001_a', 1)",
    ),
    (
        "prisma",
        "1_a",
        "create table _prisma_migrations (id varchar(36) primary key, checksum varchar(64), \
         finished_at datetime(3), migration_name varchar(255) not null, logs text, rolled_back_at \
         datetime(3), started_at datetime(3) not null default current_timestamp(3), \
         applied_steps_count int unsigned not null default 0);
         insert into _prisma_migrations (id, finished_at, migration_name) values \
         ('1', now(), '1_a')",
    ),
    (
        "goose",
        "2",
        "create table goose_db_version (id serial, version_id bigint not null, is_applied boolean \
         not null, tstamp timestamp null default now());
         insert into goose_db_version (version_id, is_applied) values (0, 1), (2, 0), (2, 1), \
         (3, 1), (3, 0)",
    ),
    (
        "postgrator",
        "2",
        "create table schemaversion (version bigint primary key, name text, md5 text, run_at \
         timestamp null);
         insert into schemaversion values (2, 'a', 'x', now())",
    ),
    (
        "efcore",
        "20240101120000_A",
        "create table __EFMigrationsHistory (MigrationId varchar(150) primary key, ProductVersion \
         varchar(32) not null);
         insert into __EFMigrationsHistory values ('20240101120000_A', '8')",
    ),
    (
        "atlas",
        "20240101120000",
        "create table atlas_schema_revisions (version varchar(255) primary key, description \
         varchar(255), type bigint unsigned default 2, applied bigint default 0, total bigint \
         default 0, error longtext, hash varchar(255));
         insert into atlas_schema_revisions (version, type, applied, total) values \
         ('20240101120000', 2, 1, 1), ('.atlas_cloud_identifier', 2, 0, 0)",
    ),
    (
        "phinx",
        "20240101120000",
        "create table phinxlog (version bigint primary key, migration_name varchar(100), \
         start_time timestamp null, end_time timestamp null, breakpoint tinyint(1) not null);
         insert into phinxlog values (20240101120000, 'A', now(), now(), 0)",
    ),
    (
        "doctrine",
        "20240101120000",
        "create table doctrine_migration_versions (version varchar(191) primary key, executed_at \
         datetime, execution_time int);
         insert into doctrine_migration_versions values (concat('App', char(92), \
         'Version20240101120000'), now(), 1)",
    ),
    (
        "sql-migrate",
        "1_a.sql",
        "create table gorp_migrations (id varchar(255) primary key, applied_at datetime);
         insert into gorp_migrations values ('1_a.sql', now())",
    ),
];

#[test]
fn every_tools_table_can_be_read_on_mariadb() {
    let server = MariaDb::started(&[]);
    server.sql("create user app identified by 's3cr3t'; grant select on *.* to app");
    for (tool, applied, statements) in TABLES {
        let database = tool.replace('-', "_");
        server.sql(&format!("create database {database}"));
        server.sql_in(&database, statements);
        let url = format!("migrations+mysql://app:s3cr3t@{}/{database}", server.address());
        // By its columns alone, and by its name.
        ready(&format!("{url}#version={applied}"), tool);
        ready(&url, tool);
        let missing = applied.replace(['1', '2'], "3");
        not_ready(&format!("{url}#tool={tool},version={missing}"), "absent", tool);
    }
    // A session that alters the table holds a lock on it.
    let statement = "lock tables ecto.schema_migrations write";
    let _gate = Gate::closed_by(&server, statement, "altering");
    let url = format!("migrations+mysql://app:s3cr3t@{}/ecto", server.address());
    not_ready(&url, "absent", "in progress: ecto.schema_migrations is locked by a migrator (1205");
}
