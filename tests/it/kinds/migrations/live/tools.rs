//! Commands that run real migration tools of Debian, PyPI, npm and crates.io.

use crate::support::process::{missing, program};
use crate::support::{Dir, Postgres};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// As the superuser, whose tables the watcher may read.
fn url(server: &Postgres) -> String {
    format!("postgresql://postgres@{}:{}/app", server.host(), server.port())
}

/// Ruby with these libraries, all from Debian.
fn ruby(script: &str, libraries: &[(&str, &str)]) -> Command {
    let ruby = program("ruby", "ruby");
    for (library, package) in libraries {
        let found =
            Command::new(&ruby).args(["-e", &format!("require '{library}'")]).output().unwrap();
        if !found.status.success() {
            missing(library, package);
        }
    }
    let mut command = Command::new(ruby);
    command.args(["-W0", "-e", script]);
    command
}

pub fn sequel(server: &Postgres, migrations: &str) -> Command {
    const SCRIPT: &str = "require 'sequel'\nSequel.extension :migration\n\
        Sequel::Migrator.run(Sequel.connect(ENV['TOOL_URL']), ENV['TOOL_DIR'])";
    let mut command = ruby(SCRIPT, &[("sequel", "ruby-sequel"), ("pg", "ruby-pg")]);
    command.env("TOOL_URL", url(server)).env("TOOL_DIR", migrations);
    command
}

pub fn rails(server: &Postgres, migrations: &str) -> Command {
    const SCRIPT: &str = "require 'active_record'\nActiveRecord::Migration.verbose = false\n\
        ActiveRecord::Base.establish_connection(ENV['TOOL_URL'])\n\
        ActiveRecord::Migrator.migrations_paths = [ENV['TOOL_DIR']]\n\
        of = ActiveRecord::Base.connection\nof = ActiveRecord::Base.connection_pool unless \
        of.respond_to?(:migration_context)\n\
        of.migration_context.migrate";
    let mut command = ruby(SCRIPT, &[("active_record", "ruby-activerecord"), ("pg", "ruby-pg")]);
    command.env("TOOL_URL", url(server)).env("TOOL_DIR", migrations);
    command
}

/// `migrations` are in `DIR/script/versions`.
pub fn alembic(server: &Postgres, dir: &Dir) -> Command {
    const ENV: &str = "import os\nfrom alembic import context\nfrom sqlalchemy import \
        create_engine\n\n\
        with create_engine(os.environ['TOOL_URL']).connect() as connection:\n    \
        context.configure(connection=connection, transaction_per_migration=True)\n    \
        with context.begin_transaction():\n        context.run_migrations()\n";
    dir.write("script/env.py", ENV);
    let ini =
        dir.write("alembic.ini", format!("[alembic]\nscript_location = {}\n", dir.text("script")));
    let mut command = python();
    command.args(["-m", "alembic", "-c"]).arg(ini).args(["upgrade", "head"]);
    command.env("TOOL_URL", url(server).replace("postgresql:", "postgresql+psycopg2:"));
    command
}

/// The application is `DIR/shop`.
pub fn django(server: &Postgres, dir: &Dir) -> Command {
    let script = format!(
        "import django\nfrom django.conf import settings\n\nsettings.configure(\n    \
        INSTALLED_APPS=['shop'],\n    \
         DATABASES={{'default': {{'ENGINE': 'django.db.backends.postgresql', 'NAME': 'app', \
         'USER': 'postgres', 'HOST': '{}', \
         'PORT': {}}}}},\n)\ndjango.setup()\nfrom django.core.management import call_command\n\n\
         call_command('migrate', verbosity=0)\n",
        server.host(),
        server.port()
    );
    let script = dir.write("manage.py", script);
    let mut command = python();
    command.arg(script).current_dir(dir.path());
    command
}

pub fn knex(server: &Postgres, migrations: &str) -> Command {
    const SCRIPT: &str = "const knex = require('knex')({ client: 'pg', connection: \
        process.env.TOOL_URL });\n\
        knex.migrate.latest({ directory: process.env.TOOL_DIR }).then(() => knex.destroy(), (e) => \
        { console.error(e); process.exit(1); });";
    let mut command = Command::new(program("node", "nodejs"));
    command.args(["-e", SCRIPT]).current_dir(node_modules());
    command.env("TOOL_URL", url(server)).env("TOOL_DIR", migrations);
    command
}

/// sqlx is a library: this test binary runs it, in a process of its own.
pub fn sqlx(server: &Postgres, migrations: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "kinds::migrations::live::sqlx_migrator"]);
    command
        .env("SQLX_URL", format!("{}?sslmode=disable", url(server)))
        .env("SQLX_MIGRATIONS", migrations);
    command
}

/// Python in an environment with the tools from PyPI.
fn python() -> Command {
    const TOOLS: [&str; 3] = ["alembic>=1.13,<2", "Django>=4.2,<6", "psycopg2-binary>=2.9,<3"];
    let dir = cached("python", |dir| {
        let made = Command::new(program("python3", "python3-venv"))
            .args(["-m", "venv"])
            .arg(dir)
            .output()
            .unwrap();
        if !made.status.success() {
            missing("python3 -m venv", "python3-venv");
        }
        run(Command::new(dir.join("bin/python"))
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(TOOLS));
    });
    let mut command = Command::new(dir.join("bin/python"));
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// A directory with the tools from npm.
fn node_modules() -> PathBuf {
    const TOOLS: [&str; 2] = ["knex@3", "pg@8"];
    cached("node", |dir| {
        fs::create_dir_all(dir).unwrap();
        let npm = program("npm", "npm");
        run(Command::new(npm)
            .args(["install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"])
            .arg(dir)
            .args(TOOLS));
    })
}

/// Made once for all threads, processes and runs. A virtual environment cannot be moved, so a mark
/// shows that it is complete.
fn cached(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(root).unwrap();
    let lock = File::create(root.join(format!("tools-{name}.lock"))).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let (dir, whole) =
        (root.join(format!("tools-{name}")), root.join(format!("tools-{name}.whole")));
    if !whole.exists() {
        let _ = fs::remove_dir_all(&dir);
        make(&dir);
        File::create(whole).unwrap();
    }
    dir
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}: {errors}", output.status);
}
