use std::collections::HashSet;

use super::*;
use crate::kinds::migrations::tool::Lock;

#[test]
fn every_tool_is_well_formed() {
    let mut seen = HashSet::new();
    for tool in TOOLS {
        assert!(!tool.name.is_empty() && !tool.table.is_empty(), "{}", tool.name);
        // A second entry for the same table differs in its columns alone.
        seen.insert(tool.name);
        if tool.refused.is_some() {
            continue;
        }
        assert!(tool.rows.contains("{t}"), "{}: its SELECT names the table", tool.name);
        assert!(tool.rows.contains("'applied'"), "{}: its SELECT knows what is applied", tool.name);
        for lock in tool.locks {
            if let Lock::Row { holders, .. } = lock {
                assert!(holders.contains("{l}"), "{}", tool.name);
            }
        }
        if let Files::Named { pattern, except, .. } = tool.files {
            let compiled = Regex::new(pattern).unwrap();
            assert_eq!(compiled.captures_len(), 2, "{}: one capture", tool.name);
            Regex::new(except).unwrap();
            let name = if pattern.contains('/') {
                tool.example
            } else {
                tool.example.rsplit('/').next().unwrap()
            };
            assert!(compiled.is_match(name), "{}: {} is no example", tool.name, tool.example);
        }
    }
    assert_eq!(seen.len(), names().len());
}

#[test]
fn every_tool_of_the_documentation_is_there() {
    const WANTED: &str = "aerich alembic atlas bun db-migrate dbmate diesel django doctrine drizzle ecto efcore flyway golang-migrate \
        goose gormigrate graphile-migrate knex kysely laravel liquibase mikro-orm node-pg-migrate pgroll phinx postgrator prisma \
        rails refinery sea-orm sequel sequelize sqitch sql-migrate sqlx supabase tern typeorm yoyo";
    assert_eq!(names(), WANTED.split_whitespace().collect::<Vec<_>>());
}

fn refused(keys: &[(&str, &str)]) -> String {
    match built(keys) {
        Ok(_) => panic!("it was built"),
        Err(error) => error,
    }
}

fn built(keys: &[(&str, &str)]) -> Result<Box<dyn Probe>, String> {
    let keys = keys
        .iter()
        .map(|(name, value)| crate::spec::KeyValue {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
            items: vec![(*value).to_owned()],
            at: None,
        })
        .collect();
    let rest = crate::spec::expand::Text::literal("//app@127.0.0.1:5432/app");
    let env = crate::spec::expand::Env::new(|_| None);
    let spec = Spec::new("schema".to_owned(), "migrations+postgres".to_owned(), rest, keys, env);
    build(&spec).map_err(|error| error.to_string())
}

#[test]
fn a_wrong_declaration_is_told_what_would_be_right() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty");
    let sql = dir.path().join("sql");
    std::fs::create_dir_all(&empty).unwrap();
    std::fs::create_dir_all(&sql).unwrap();
    std::fs::write(sql.join("20240101_a.sql"), "").unwrap();
    let (empty, sql) = (empty.to_str().unwrap(), sql.to_str().unwrap());
    for (keys, want) in [
        (vec![("tool", "rials")], "schema: tool: unknown tool, did you mean rails?".to_owned()),
        (
            vec![("tool", "bun")],
            "schema: tool: bun cannot be checked: it records a migration before running it, so that a row proves nothing; \
             use postgres: with a query instead"
                .to_owned(),
        ),
        (
            vec![("dir", sql), ("version", "1")],
            "schema: dir and version exclude each other: dir wants every migration in it, version one".to_owned(),
        ),
        (vec![("column", "x")], "schema: column: needs table=, whose column it is".to_owned()),
        (vec![("table", "a.b.c")], "schema: table: is TABLE or SCHEMA.TABLE".to_owned()),
        (vec![("key-pattern", "(x)")], "schema: key-pattern: needs dir=, whose files it reads".to_owned()),
        (vec![("version", " ")], "schema: version: is the key of a migration as the table has it".to_owned()),
        (vec![("version", "x"), ("tool", "tern")], "schema: version: is a number with tool=tern".to_owned()),
        (
            vec![("dir", empty)],
            format!("schema: dir: {empty} holds no migration of any known tool (for others: table=, column= and key-pattern=)"),
        ),
        (
            vec![("dir", sql), ("tool", "rails")],
            format!("schema: dir: {sql} holds no migration of rails's (such as 20240101120000_name.rb)"),
        ),
        (
            vec![("dir", sql), ("table", "t"), ("column", "c"), ("key-pattern", "x")],
            "schema: dir: key-pattern needs exactly one (...), around what stands in the table".to_owned(),
        ),
        (
            vec![("dir", sql), ("key-pattern", "(x)")],
            "schema: dir: key-pattern needs tool=, or table= and column=: it does not say where to look".to_owned(),
        ),
        (vec![("dir", sql), ("tool", "liquibase")], format!("schema: dir: {}", readers::liquibase::INSTEAD)),
    ] {
        assert_eq!(refused(&keys), want);
    }
    for keys in [
        vec![],
        vec![("dir", sql)],
        vec![("dir", sql), ("table", "t"), ("column", "c")],
        vec![("tool", "auto")],
    ] {
        built(&keys).map(drop).unwrap();
    }
}

/// The files in `files`, read as `tool` does: labels and keys.
fn read(tool: &str, files: &[(&str, &str)]) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let listing = Listing::read(dir.path().to_str().unwrap()).unwrap();
    let entries = named_tool(tool)
        .map(|tool| Wanted::of(tool, &listing).unwrap())
        .find(|wanted| !wanted.list.is_empty());
    let shown = |want: &wanted::Want| format!("{} = {}", want.label, want.keys.join(" | "));
    entries.unwrap_or_default().list.iter().map(shown).collect()
}

#[test]
fn a_directory_is_read_as_its_tool_reads_it() {
    const NO_TEXT: &str = "";
    for (tool, files, want) in [
        (
            "rails",
            &["001_a.rb", "sub/20240101_b.rb", "x.rb"][..],
            &["001_a = 1", "20240101_b = 20240101"][..],
        ),
        ("dbmate", &["001_a.sql", "README.md"], &["001_a = 001"]),
        (
            "golang-migrate",
            &["10_b.up.sql", "9_a.up.sql", "9_a.down.sql"],
            &["9_a = 9", "10_b = 10"],
        ),
        ("sqlx", &["1_a.sql", "2_b.up.sql", "2_b.down.sql", "x.sql"], &["1_a = 1", "2_b = 2"]),
        ("sequel", &["20240102_Add_N.rb"], &["20240102_Add_N = 20240102_add_n.rb"]),
        ("sequel", &["001_a.RB", "002_b.rb"], &["001_a = 1", "002_b = 2"]),
        (
            "ecto",
            &["20240101_a.exs", "deep/20240102_b.exs", ".formatter.exs"],
            &["20240101_a = 20240101", "20240102_b = 20240102"],
        ),
        (
            "diesel",
            &["2024-01-02-120000-0000_b/up.sql", "x/down.sql"],
            &["2024-01-02-120000-0000_b = 202401021200000000"],
        ),
        ("refinery", &["U3__u.sql", "V1__a.rs", "V2__b.txt"], &["V1__a = 1", "U3__u = 3"]),
        (
            "sea-orm",
            &["m20240101_000001_a.rs", "main.rs", "mod.rs", "lib.rs"],
            &["m20240101_000001_a = m20240101_000001_a"],
        ),
        (
            "prisma",
            &["20240101_a/migration.sql", "migration_lock.toml"],
            &["20240101_a = 20240101_a"],
        ),
        (
            "goose",
            &["00000_zero.sql", "00001_a.sql", "2_b.go", "2_b_test.go"],
            &["00001_a = 1", "2_b = 2"],
        ),
        ("knex", &["1_a.js", "1_a.d.ts", "2_b.ts", "x.json"], &["1_a = 1_a", "2_b = 2_b"]),
        ("typeorm", &["1700000000000-A.ts", "index.ts"], &["1700000000000-A = 1700000000000"]),
        ("laravel", &["2024_01_01_000000_a.php"], &["2024_01_01_000000_a = 2024_01_01_000000_a"]),
        (
            "mikro-orm",
            &["Migration2024.js", "Migration2024.d.ts", ".snapshot.json"],
            &["Migration2024 = Migration2024"],
        ),
        ("node-pg-migrate", &["1_a.up.sql", "1_a.down.sql", "2_b.js"], &["1_a = 1_a", "2_b = 2_b"]),
        (
            "postgrator",
            &["001.do.a.sql", "001.undo.a.sql", "2.do.sql"],
            &["001.do.a = 1", "2.do = 2"],
        ),
        (
            "graphile-migrate",
            &["committed/000001-first.sql", "current.sql"],
            &["000001-first = 000001"],
        ),
        (
            "efcore",
            &["20240101120000_A.cs", "20240101120000_A.Designer.cs", "ModelSnapshot.cs"],
            &["20240101120000_A = 20240101120000_a"],
        ),
        ("phinx", &["20240101120000_a.php", "x.php"], &["20240101120000_a = 20240101120000"]),
        ("doctrine", &["2024/Version20240101.php"], &["Version20240101 = 20240101"]),
        ("sql-migrate", &["1_a.sql"], &["1_a = 1_a.sql"]),
        (
            "yoyo",
            &["0001.a.sql", "0001.a.rollback.sql", "post-apply.py", "0002.b.py"],
            &["0001.a = 0001.a", "0002.b = 0002.b"],
        ),
        ("pgroll", &["01_a.json", "02_b.yaml"], &["01_a = 01_a", "02_b = 02_b"]),
        (
            "aerich",
            &["models/10_x.py", "models/2_y.py", "models/__init__.py"],
            &["models.2_y = models.2_y.py", "models.10_x = models.10_x.py"],
        ),
        (
            "flyway",
            &[
                "V1_10__b.sql",
                "V1_2__a.sql",
                "B1_10__base.sql",
                "B2__base.sql",
                "U1__x.sql",
                "sub/R__views.sql",
            ],
            &["V1_2__a = 1.2", "V1_10__b = 1.10", "B2__base = 2", "R__views = R:sub/R__views.sql"],
        ),
        (
            "drizzle",
            &["20240101120000_a/migration.sql"],
            &["20240101120000_a = 20240101120000_a | 1704110400000"],
        ),
    ] {
        let files: Vec<_> = files.iter().map(|path| (*path, NO_TEXT)).collect();
        assert_eq!(read(tool, &files), want, "{tool}");
    }
}

#[test]
fn files_that_say_more_than_their_names_are_read() {
    let alembic = [
        ("a_x.py", "revision = 'a'\ndown_revision = None\n"),
        ("b_y.py", "revision: str = 'b'\ndown_revision: Union[str, None] = ('a',)\n"),
        ("env.py", "import alembic\n"),
    ];
    assert_eq!(read("alembic", &alembic), ["a_x = a", "b_y = b"]);
    let django = [
        ("shop/migrations/0001_initial.py", "class Migration(migrations.Migration): pass"),
        ("shop/migrations/__init__.py", ""),
        ("shop/models.py", "class Migration: pass"),
    ];
    assert_eq!(read("django", &django), ["shop.0001_initial = shop.0001_initial"]);
    let atlas = [
        ("1_a.sql", "create table a();"),
        ("2_all.sql", "-- atlas:checkpoint\n\ncreate table a();"),
        ("3_b.sql", "create table b();"),
        ("atlas.sum", "h1:"),
    ];
    assert_eq!(read("atlas", &atlas), ["1_a = 1 | 2", "3_b = 3"]);
    let plan = [("sqitch.plan", "%project=p\n\na 2024 t <t@x>\n"), ("deploy/a.sql", "")];
    assert_eq!(read("sqitch", &plan), ["a = p:a"]);
}
