//! Directories of migrations, read as each tool reads them.

use regex_lite::Regex;

use super::{
    dir::Listing,
    key, readers,
    tool::Tool,
    tools::named_tool,
    wanted::{Wanted, WantedMigration},
};

/// A directory with these files, listed.
fn listing(files: &[(&str, &str)]) -> (tempfile::TempDir, Listing) {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let listing = Listing::read(&[dir.path().to_str().unwrap().to_owned()]).unwrap();
    (dir, listing)
}

fn shown(wanted: Wanted) -> Vec<String> {
    let shown = |want: &WantedMigration| {
        let mut text = format!("{} = {}", want.label, want.keys.join(" | "));
        for other in &want.included_in {
            text.push_str(&format!(" or {other}"));
        }
        text
    };
    wanted.list.iter().map(shown).collect()
}

/// The files in `files`, read as `tool` does: labels and keys.
fn read(tool: &str, files: &[(&str, &str)]) -> Vec<String> {
    let (_dir, listing) = listing(files);
    let wanted = named_tool(tool)
        .map(|tool| Wanted::of(tool, &listing).unwrap())
        .find(|wanted| !wanted.list.is_empty());
    shown(wanted.unwrap_or_default())
}

fn read_error(tool: &str, files: &[(&str, &str)]) -> String {
    let (_dir, listing) = listing(files);
    let tool: &Tool = named_tool(tool).next().unwrap();
    Wanted::of(tool, &listing).unwrap_err()
}

#[test]
fn a_directory_is_read_as_its_tool_reads_it() {
    const NO_TEXT: &str = "";
    for (tool, files, want) in [
        (
            "rails",
            // Rails refuses the last name, and never records it.
            &["001_a.rb", "sub/20240101_b.rb", "x.rb", "20240102_AddC.rb"][..],
            &["001_a = 1", "20240101_b = 20240101", "20240102_AddC = 20240102"][..],
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
            &["1_a.ts", "Migration2024.js", "Migration2024.d.ts", ".snapshot.json", "index.js"],
            &["1_a = 1_a", "Migration2024 = Migration2024"],
        ),
        (
            "node-pg-migrate",
            &["1_a.up.sql", "1_a.down.sql", "2_b.js", "3_c.up.ts", "4_d.sql"],
            &["1_a = 1_a", "2_b = 2_b", "3_c = 3_c.up", "4_d = 4_d"],
        ),
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
            &["0001.a.sql", "0001.a.rollback.sql", "post-apply.py", "0002.b.py", "_c.py"],
            &["0001.a = 0001.a", "0002.b = 0002.b", "_c = _c"],
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
            &[
                "V1_2__a = 1.2",
                "V1_10__b = 1.10",
                "B2__base = 2",
                "R__views = R:sub/R__views.sql | R:R__views.sql",
            ],
        ),
        (
            "drizzle",
            &["20240101120000_a/migration.sql"],
            &["20240101120000_a = 1704110400000 | 20240101120000_a"],
        ),
    ] {
        let files: Vec<_> = files.iter().map(|path| (*path, NO_TEXT)).collect();
        assert_eq!(read(tool, &files), want, "{tool}");
    }
}

#[test]
fn files_whose_contents_count_are_opened() {
    let alembic = [
        ("a_x.py", "revision = 'a'\ndown_revision = None\n"),
        ("b_y.py", "revision: str = u'b'\ndown_revision: Union[str, None] = ('a',)\n"),
        ("env.py", "import alembic\n# down_revision\n"),
        ("old/z.py", "revision = 'z'\ndown_revision = None\n"),
        ("y2025/c.py", "\"\"\"doc\nrevision = 'no'\n\"\"\"\nrevision = 'c'; down_revision = 'b'"),
    ];
    assert_eq!(read("alembic", &alembic), ["a_x = a", "b_y = b", "c = c"]);
    let nested = [
        ("versions/2024/a.py", "revision = 'a'"),
        ("versions/2025/b.py", "revision = 'b'\ndown_revision = 'a'"),
    ];
    assert_eq!(read("alembic", &nested), ["a = a", "b = b"]);
    let atlas = [
        ("1_a.sql", "create table a();"),
        ("2_all.sql", "-- atlas:checkpoint\n\ncreate table a();"),
        ("3_b.sql", "create table b();"),
        ("atlas.sum", "h1:"),
    ];
    assert_eq!(read("atlas", &atlas), ["1_a = 1 or 2", "3_b = 3"]);
    let plan = [("sqitch.plan", "%project=p\n\na 2024 t <t@x>\n"), ("deploy/a.sql", "")];
    assert_eq!(read("sqitch", &plan), ["a = p:a"]);
    let doctrine = [
        ("a/Version1.php", "<?php\nnamespace A;\nclass Version1 {}"),
        ("b/Version1.php", "<?php\nnamespace B;\nclass Version1 {}"),
    ];
    assert_eq!(read("doctrine", &doctrine), ["Version1 = A\\Version1", "Version1 = B\\Version1"]);
    let efcore = [
        ("20240101000000_A.cs", "partial class A : Migration {}"),
        ("20240101000000_A.Designer.cs", "[Migration(\"20240101000000_Old\")]"),
        ("20240102000000_B.cs", "partial class B : Migration {}"),
    ];
    assert_eq!(read("efcore", &efcore), ["20240101000000_Old = 20240101000000_old"]);
    let typeorm = [
        ("1700000000000-A.ts", "export class A1700000000001 {}"),
        ("1700000000000-A.js", "class A1700000000001 {}"),
        ("1700000000000-B.ts", "class B1700000000001 { name = 'C1700000000001' }"),
        ("index.ts", "export * from './1700000000000-A'"),
    ];
    assert_eq!(
        read("typeorm", &typeorm),
        ["1700000000000-A = A1700000000001", "1700000000000-B = C1700000000001"]
    );
    let journal = |second: u32| {
        format!(
            "{{\"entries\":[{{\"when\":1,\"tag\":\"a\"}},{{\"when\":{second},\"tag\":\"b\"}}]}}"
        )
    };
    let drizzle = |journal: &str| {
        read("drizzle", &[("meta/_journal.json", journal), ("a.sql", ""), ("b.sql", "x")])
    };
    assert_eq!(drizzle(&journal(2)), ["a = 1 | a", "b = 2 | b"]);
    let hashes = drizzle(&journal(1));
    assert!(hashes[0].starts_with("a = e3b0c442") && hashes[1].starts_with("b = 2d711642"));
}

#[test]
fn django_is_read_as_its_loader_reads_it() {
    const CLASS: &str = "class Migration(migrations.Migration):\n    pass";
    let files = [
        ("shop/migrations/0001_initial.py", CLASS),
        ("shop/migrations/__init__.py", ""),
        ("shop/migrations/helper.py", "def helper(): pass"),
        ("shop/migrations/0003_shared.py", "from x import Migration"),
        (
            "search/migrations/0001_reindex.py",
            "from search.steps import Migration\nM = Migration(1)",
        ),
        ("shop/migrations/0002_made.py", "Migration = make(1)"),
        ("shop/models.py", CLASS),
        ("core/apps.py", "class C(AppConfig):\n    name = 'acme.core'\n    label = 'acme_core'"),
        ("core/migrations/0001_initial.py", CLASS),
        ("shop/tests/dummy/migrations/0001_initial.py", CLASS),
        ("venv/pyvenv.cfg", ""),
        ("venv/lib/auth/migrations/0001_initial.py", CLASS),
    ];
    let labels = |apps: &[&str]| {
        let (_dir, mut listing) = listing(&files);
        listing.apps = apps.iter().map(|app| (*app).to_owned()).collect();
        readers::django::read(&listing)
            .map(|wanted| wanted.list.into_iter().map(|want| want.label).collect::<Vec<_>>())
    };
    let all = ["acme_core.0001_initial", "shop.0001_initial", "shop.0002_made", "shop.0003_shared"];
    assert_eq!(labels(&[]).unwrap(), all);
    assert_eq!(labels(&["dummy"]).unwrap(), ["dummy.0001_initial"]);
    assert_eq!(
        labels(&["shop", "shpo"]).unwrap_err(),
        "holds no migration of the application shpo, which apps= names"
    );
    for squash in [
        "class Migration(m.Migration):\n    replaces = [('s', 'a'), ('s', 'b')]\n",
        "OLD = [('s', 'a')]\nclass Migration(m.Migration):\n    replaces = OLD + [('s', 'b')]\n",
    ] {
        let (_dir, listing) = listing(&[("s/migrations/0001_squashed.py", squash)]);
        assert_eq!(readers::django::read(&listing).unwrap().list[0].replaces, ["s.a", "s.b"]);
    }
}

#[test]
fn two_migrations_never_become_one() {
    const ALEMBIC: &str = "revision = 'a'\ndown_revision = None";
    for (tool, files) in [
        ("rails", &[("1_a.rb", ""), ("1_b.rb", "")][..]),
        ("rails", &[("a/1_a.rb", ""), ("b/1_a.rb", "")]),
        ("golang-migrate", &[("1_a.up.sql", ""), ("01_b.up.sql", "")]),
        ("sqlx", &[("1_a.sql", ""), ("1_b.sql", "")]),
        ("sequel", &[("20240101_a.rb", ""), ("20240101_A.RB", "")]),
        ("flyway", &[("V1__a.sql", ""), ("V1.0__b.sql", "")]),
        ("node-pg-migrate", &[("1_a.js", ""), ("1_a.sql", "")]),
        ("pgroll", &[("a.json", ""), ("a.yaml", "")]),
        ("alembic", &[("a.py", ALEMBIC), ("b.py", ALEMBIC)]),
        ("typeorm", &[("a.ts", "class A1700000000000 {}"), ("b.ts", "class A1700000000000 {}")]),
        ("typeorm", &[("a.ts", "class A1700000000000 {}"), ("1700000000000-b.ts", "")]),
        ("efcore", &[("a.cs", "[Migration(\"1\")]"), ("b.cs", "[Migration(\"1\")]")]),
        ("graphile-migrate", &[("000001.sql", ""), ("000001-a.sql", "")]),
        ("atlas", &[("1_a.sql", ""), ("1_b.sql", "")]),
    ] {
        let said = read_error(tool, files);
        assert!(
            said.contains("the same key") || said.contains("that number too"),
            "{tool}: {said}"
        );
    }
    // These files are one migration: both directions, or a script and its compiled form.
    assert_eq!(read("knex", &[("1_a.js", ""), ("1_a.ts", "")]), ["1_a = 1_a"]);
    assert_eq!(read("sqlx", &[("1_a.up.sql", ""), ("1_a.down.sql", "")]), ["1_a = 1"]);
}

#[test]
fn an_own_pattern_tells_directories_apart() {
    let pattern = |pattern: &str, files: &[&str]| {
        let files: Vec<_> = files.iter().map(|file| (*file, "")).collect();
        let (_dir, listing) = listing(&files);
        Wanted::by_pattern(&listing, pattern, &Regex::new(pattern).unwrap(), key::as_is).map(shown)
    };
    assert_eq!(
        pattern(r"^(.+\.sql)$", &["1/a.sql", "2/a.sql", "2/b.sql"]).unwrap(),
        ["1/a.sql = 1/a.sql", "2/a.sql = 2/a.sql", "b = b.sql | 2/b.sql"]
    );
    assert_eq!(pattern(r"^[0-9]+/(.+)\.sql$", &["1/a.sql", "b.sql"]).unwrap(), ["1/a.sql = a"]);
    assert_eq!(
        pattern(r"^([0-9]+)_", &["1_a.up.sql", "1_a.down.sql", "1_a.postgres.up.sql"]).unwrap(),
        ["1_a = 1"]
    );
    assert!(
        pattern(r"^([0-9]+)_", &["1_a.sql", "1_b.sql"]).unwrap_err().contains("the same key 1")
    );
    assert!(pattern(r"^x/([0-9]+)_", &["x/1_a.sql", "x/1_b.sql"]).is_err());
    let by_name = |files: &[&str]| {
        let files: Vec<_> = files.iter().map(|file| (*file, "")).collect();
        Wanted::by_file_name(&listing(&files).1).map(shown).unwrap()
    };
    assert_eq!(by_name(&["a.sql", "b.js", "b.sql"]), ["a = a.sql | a", "b = b.js", "b = b.sql"]);
    assert_eq!(by_name(&["1/a.sql", "2/a.sql"]), ["1/a = 1/a.sql | 1/a", "2/a = 2/a.sql | 2/a"]);
}

#[test]
fn names_alone_suffice_for_most_tools() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("migrations.txt");
    std::fs::write(&list, "1_a.sql\n2_b.sql\n").unwrap();
    let listing = Listing::read(&[list.to_str().unwrap().to_owned()]).unwrap();
    let read = |tool: &str| Wanted::of(named_tool(tool).next().unwrap(), &listing).map(shown);
    assert_eq!(read("sqlx").unwrap(), ["1_a = 1", "2_b = 2"]);
    assert_eq!(
        read("alembic").unwrap_err(),
        "must be the directory itself with tool=alembic: names alone do not list its migrations"
    );
}
