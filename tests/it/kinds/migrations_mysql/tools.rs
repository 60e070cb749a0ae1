//! Real migration tools on MariaDB: the files that each wants, and the command that runs it.

use crate::support::process::{missing, program};
use crate::support::{Dir, python};
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One tool, with the directory of its migrations.
pub struct Tool {
    pub name: &'static str,
    /// Writes the migration number `n`, which runs these statements.
    pub write: fn(&Dir, usize, &[String]),
    /// Runs all migrations of the directory on the database of this name.
    pub command: fn(&Dir, SocketAddr, &str) -> Command,
}

pub static TOOLS: [Tool; 10] = [
    Tool { name: "alembic", write: write_alembic, command: alembic },
    Tool { name: "django", write: write_django, command: django },
    Tool { name: "knex", write: write_knex, command: knex },
    Tool { name: "sequelize", write: write_sequelize, command: sequelize },
    Tool { name: "typeorm", write: write_typeorm, command: typeorm },
    Tool { name: "rails", write: write_rails, command: rails },
    Tool { name: "sequel", write: write_sequel, command: sequel },
    Tool { name: "sqlx", write: write_sql, command: sqlx },
    Tool { name: "kysely", write: write_kysely, command: kysely },
    Tool { name: "dbmate", write: write_dbmate, command: dbmate },
];

fn url(at: SocketAddr, database: &str) -> String {
    format!("mysql://root@{at}/{database}")
}

/// The name of migration `n` without its extension.
fn stamped(n: usize) -> String {
    format!("2024010112000{n}_step_{n}")
}

fn quoted(statements: &[String]) -> String {
    let quoted: Vec<_> = statements.iter().map(|text| format!("\"{text}\"")).collect();
    format!("[{}]", quoted.join(", "))
}

fn write_alembic(dir: &Dir, n: usize, statements: &[String]) {
    let before = if n == 1 { "None".to_owned() } else { format!("'aaaa000{}'", n - 1) };
    let text = format!(
        "from alembic import op\nrevision: str = 'aaaa000{n}'\ndown_revision = {before}\n\n\n\
         def upgrade():\n    for text in {}:\n        op.execute(text)\n",
        quoted(statements)
    );
    dir.write(&format!("migrations/aaaa000{n}_step.py"), text);
}

fn alembic(dir: &Dir, at: SocketAddr, database: &str) -> Command {
    const ENV: &str = "import os\nfrom alembic import context\n\
        from sqlalchemy import create_engine\n\n\
        with create_engine(os.environ['TOOL_URL']).connect() as connection:\n    \
        context.configure(connection=connection, transaction_per_migration=True)\n    \
        with context.begin_transaction():\n        context.run_migrations()\n";
    dir.write("script/env.py", ENV);
    let (script, versions) = (dir.text("script"), dir.text("migrations"));
    let lines = format!("[alembic]\nscript_location = {script}\nversion_locations = {versions}\n");
    let ini = dir.write("alembic.ini", lines);
    let mut command = of_python();
    command.args(["-m", "alembic", "-c"]).arg(ini).args(["upgrade", "head"]);
    command.env("TOOL_URL", url(at, database).replace("mysql:", "mysql+pymysql:"));
    command
}

fn write_django(dir: &Dir, n: usize, statements: &[String]) {
    let before = if n == 1 { String::new() } else { format!("('shop', '000{}_step')", n - 1) };
    let text = format!(
        "from django.db import migrations\n\n\nclass Migration(migrations.Migration):\n    \
         dependencies = [{before}]\n    operations = [migrations.RunSQL({})]\n",
        quoted(statements)
    );
    dir.write("shop/__init__.py", "");
    dir.write("shop/migrations/__init__.py", "");
    dir.write(&format!("shop/migrations/000{n}_step.py"), text);
}

fn django(dir: &Dir, at: SocketAddr, database: &str) -> Command {
    let script = format!(
        "import pymysql\npymysql.version_info = (2, 2, 8, 'final', 0)\n\
         pymysql.install_as_MySQLdb()\n\
         import django\nfrom django.conf import settings\n\nsettings.configure(\n    \
         INSTALLED_APPS=['shop'],\n    DATABASES={{'default': {{'ENGINE': \
         'django.db.backends.mysql', 'NAME': '{database}', 'USER': 'root', 'HOST': '{}', \
         'PORT': {}}}}},\n)\ndjango.setup()\nfrom django.core.management import call_command\n\n\
         call_command('migrate', verbosity=0)\n",
        at.ip(),
        at.port()
    );
    let script = dir.write("manage.py", script);
    let mut command = of_python();
    command.arg(script).current_dir(dir.path());
    command
}

fn of_python() -> Command {
    let mut command = Command::new(python());
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

fn write_knex(dir: &Dir, n: usize, statements: &[String]) {
    let text = format!(
        "exports.up = async (knex) => {{ for (const text of {}) await knex.raw(text); }};\n\
         exports.down = async () => {{}};\n",
        quoted(statements)
    );
    dir.write(&format!("migrations/{}.js", stamped(n)), text);
}

fn knex(dir: &Dir, at: SocketAddr, database: &str) -> Command {
    const SCRIPT: &str =
        "const knex = require('knex')({ client: 'mysql2', connection: process.env.TOOL_URL });
        knex.migrate.latest({ directory: process.env.TOOL_DIR })
            .then(() => knex.destroy(), (e) => { console.error(e); process.exit(1); });";
    node(SCRIPT, dir, at, database)
}

fn write_sequelize(dir: &Dir, n: usize, statements: &[String]) {
    let text = format!(
        "exports.up = async ({{ context }}) => {{\n    for (const text of {}) await \
         context.sequelize.query(text);\n}};\n",
        quoted(statements)
    );
    dir.write(&format!("migrations/{}.js", stamped(n)), text);
}

fn sequelize(dir: &Dir, at: SocketAddr, database: &str) -> Command {
    const SCRIPT: &str = "const { Sequelize } = require('sequelize');
        const { Umzug, SequelizeStorage } = require('umzug');
        const sequelize = new Sequelize(process.env.TOOL_URL, { logging: false });
        new Umzug({
            migrations: { glob: process.env.TOOL_DIR + '/*.js' },
            context: sequelize.getQueryInterface(),
            storage: new SequelizeStorage({ sequelize }),
        }).up().then(() => sequelize.close(), (e) => { console.error(e); process.exit(1); });";
    node(SCRIPT, dir, at, database)
}

fn write_typeorm(dir: &Dir, n: usize, statements: &[String]) {
    let name = format!("Step170411040000{n}");
    let text = format!(
        "exports.{name} = class {{\n    name = '{name}';\n    \
         async up(runner) {{ for (const text of \
         {}) await runner.query(text); }}\n    async down() {{}}\n}};\n",
        quoted(statements)
    );
    dir.write(&format!("migrations/170411040000{n}-Step.js"), text);
}

fn typeorm(dir: &Dir, at: SocketAddr, database: &str) -> Command {
    const SCRIPT: &str = "require('reflect-metadata');
        const { DataSource } = require('typeorm');
        const source = new DataSource({ type: 'mysql', url: process.env.TOOL_URL,
            migrations: [process.env.TOOL_DIR + '/*.js'] });
        source.initialize().then(() => source.runMigrations({ transaction: 'each' }))
            .then(() => source.destroy(), (e) => { console.error(e); process.exit(1); });";
    node(SCRIPT, dir, at, database)
}

fn write_kysely(dir: &Dir, n: usize, statements: &[String]) {
    let text = format!(
        "const {{ sql }} = require('kysely');\nexports.up = async (db) => {{\n    \
         for (const text of \
         {}) await sql.raw(text).execute(db);\n}};\n",
        quoted(statements)
    );
    dir.write(&format!("migrations/{}.js", stamped(n)), text);
}

fn kysely(dir: &Dir, at: SocketAddr, database: &str) -> Command {
    const SCRIPT: &str =
        "const { Kysely, MysqlDialect, Migrator, FileMigrationProvider } = require('kysely');
        const { promises: fs } = require('fs');
        const pool = require('mysql2').createPool(process.env.TOOL_URL);
        const db = new Kysely({ dialect: new MysqlDialect({ pool }) });
        const provider = new FileMigrationProvider(
            { fs, path: require('path'), migrationFolder: process.env.TOOL_DIR });
        new Migrator({ db, provider }).migrateToLatest().then(async ({ error }) => {
            if (error) { console.error(error); process.exit(1); }
            await db.destroy();
        });";
    node(SCRIPT, dir, at, database)
}

fn write_dbmate(dir: &Dir, n: usize, statements: &[String]) {
    let text = format!("-- migrate:up\n{};\n\n-- migrate:down\n", statements.join(";\n"));
    dir.write(&format!("migrations/{}.sql", stamped(n)), text);
}

fn dbmate(dir: &Dir, at: SocketAddr, database: &str) -> Command {
    let mut command = Command::new(node_modules().join("node_modules/.bin/dbmate"));
    command.args(["--url", &url(at, database), "--no-dump-schema", "--migrations-dir"]);
    command.arg(dir.join("migrations")).arg("migrate").current_dir(dir.path());
    command
}

fn write_rails(dir: &Dir, n: usize, statements: &[String]) {
    let text = format!(
        "class Step{n} < ActiveRecord::Migration[6.0]\n  def up\n    \
         {}.each {{ |text| execute text \
         }}\n  end\nend\n",
        quoted(statements)
    );
    dir.write(&format!("migrations/{}.rb", stamped(n)), text);
}

fn rails(dir: &Dir, at: SocketAddr, database: &str) -> Command {
    const SCRIPT: &str = "require 'active_record'\nActiveRecord::Migration.verbose = false\n\
        ActiveRecord::Base.establish_connection(ENV['TOOL_URL'].sub('mysql', 'mysql2'))\n\
        ActiveRecord::Migrator.migrations_paths = [ENV['TOOL_DIR']]\n\
        of = ActiveRecord::Base.connection\nof = ActiveRecord::Base.connection_pool unless \
        of.respond_to?(:migration_context)\nof.migration_context.migrate";
    ruby(SCRIPT, dir, at, database)
}

fn write_sequel(dir: &Dir, n: usize, statements: &[String]) {
    let text = format!(
        "Sequel.migration {{ up {{ {}.each {{ |text| run text }} }} }}\n",
        quoted(statements)
    );
    dir.write(&format!("migrations/{}.rb", stamped(n)), text);
}

fn sequel(dir: &Dir, at: SocketAddr, database: &str) -> Command {
    const SCRIPT: &str = "require 'sequel'\nSequel.extension :migration\n\
        base = Sequel.connect(ENV['TOOL_URL'].sub('mysql', 'mysql2'))\n\
        Sequel::Migrator.run(base, ENV['TOOL_DIR'])";
    ruby(SCRIPT, dir, at, database)
}

fn write_sql(dir: &Dir, n: usize, statements: &[String]) {
    dir.write(&format!("migrations/{}.sql", stamped(n)), format!("{};\n", statements.join(";\n")));
}

fn sqlx(dir: &Dir, at: SocketAddr, database: &str) -> Command {
    let mut command = Command::new(python().with_file_name("sqlx"));
    command.args(["migrate", "run", "--database-url", &url(at, database), "--source"]);
    command.arg(dir.join("migrations"));
    command
}

/// Ruby with libraries of Debian.
fn ruby(script: &str, dir: &Dir, at: SocketAddr, database: &str) -> Command {
    let ruby = program("ruby", "ruby");
    if !Command::new(&ruby).args(["-e", "require 'mysql2'"]).output().unwrap().status.success() {
        missing("ruby's mysql2", "ruby-mysql2");
    }
    let mut command = Command::new(ruby);
    command.args(["-W0", "-e", script]);
    command.env("TOOL_URL", url(at, database)).env("TOOL_DIR", dir.join("migrations"));
    command
}

fn node(script: &str, dir: &Dir, at: SocketAddr, database: &str) -> Command {
    let mut command = Command::new(program("node", "nodejs"));
    let modules = node_modules();
    command.args(["-e", script]).current_dir(&modules);
    command.env("NODE_PATH", modules.join("node_modules"));
    command.env("TOOL_URL", url(at, database)).env("TOOL_DIR", dir.join("migrations"));
    command
}

/// A directory with the tools from npm, made once for all threads, processes and runs.
fn node_modules() -> PathBuf {
    const TOOLS: [&str; 7] =
        ["knex@3", "mysql2@3", "sequelize@6", "umzug@3", "typeorm@1", "kysely@0.28", "dbmate@2"];
    let root = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(root).unwrap();
    let lock = File::create(root.join("tools-node-mysql.lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let (dir, whole) = (root.join("tools-node-mysql"), root.join("tools-node-mysql.whole"));
    if !whole.exists() {
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        let mut install = Command::new(program("npm", "npm"));
        install.args(["install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"]);
        let output = install.arg(&dir).args(TOOLS).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        File::create(whole).unwrap();
    }
    dir
}
