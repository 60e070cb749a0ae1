use super::*;
use crate::kinds::migrations::{
    graph::{Graph, Revision},
    tools::named_tool,
};

fn row(text: &str) -> Row {
    let mut words = text.split('|');
    let key = words.next().unwrap().to_owned();
    let state = State::read(words.next().unwrap_or("applied")).unwrap();
    Row { key, state, aliases: words.map(str::to_owned).collect() }
}

fn seen(tool: &str, rows: &[&str]) -> Seen<'static> {
    Seen {
        tool: named_tool(tool).next().unwrap(),
        table: "public.t".to_owned(),
        rows: rows.iter().map(|text| row(text)).collect(),
        changing: false,
        held: Vec::new(),
        unreadable_lock_table: None,
        standby: false,
        hidden: false,
        remains: None,
    }
}

fn wanted(keys: &[&str]) -> Wanted {
    Wanted::list(keys.iter().map(|key| WantedMigration::new(format!("{key}_x"), *key)).collect())
}

/// The class and the message.
fn said(decision: Decision) -> String {
    match decision {
        Decision::Ready { detail, .. } => format!("ready: {detail}"),
        Decision::NotYet { class, message, .. } => format!("{class}: {message}"),
        Decision::Wrong(message) => format!("config: {message}"),
    }
}

fn live() -> Vec<Held> {
    vec![Held::Advisory { pid: None }]
}

#[test]
fn a_migrator_that_cannot_be_seen_may_be_at_work() {
    let mut seen = seen("sqlx", &["1", "2|failed"]);
    seen.remains = Some("half remains");
    for condition in [Condition::Clean, Condition::Version("2", None)] {
        seen.hidden = false;
        let Decision::NotYet { class, hint, .. } = seen.decide(condition) else { panic!("ready") };
        assert_eq!(class, Class::Failed);
        assert!(hint.is_some_and(|hint| hint.ends_with("; half remains")));
        seen.hidden = true;
        let decision = seen.decide(condition);
        assert_eq!(said(decision), "absent: still at work, or FAILED: 2 (sqlx, public.t)");
    }
}

#[test]
fn a_directory_wants_its_migrations_alone() {
    for (tool, rows, keys, want) in [
        (
            "rails",
            &["1", "2", "3"][..],
            &["1", "2"][..],
            "ready: 2 of 2 migrations applied (rails, public.t)",
        ),
        ("rails", &["1"], &["1", "2"], "absent: 1 of 2 migrations missing: 2_x (rails, public.t)"),
        ("rails", &["001"], &["1"], "ready: 1 of 1 migrations applied (rails, public.t)"),
        ("dbmate", &["1"], &["001"], "absent: 1 of 1 migrations missing: 001_x (dbmate, public.t)"),
        (
            "rails",
            &[],
            &["1", "2", "3", "4", "5"],
            "absent: 5 of 5 migrations missing: 1_x, 2_x, 3_x, 2 more (rails, public.t)",
        ),
        (
            "goose",
            &["1|reverted"],
            &["1"],
            "absent: 1 of 1 migrations missing: 1_x (rolled back) (goose, public.t)",
        ),
        (
            "prisma",
            &["a|rolled back", "a"],
            &["a"],
            "ready: 1 of 1 migrations applied (prisma, public.t)",
        ),
        (
            "prisma",
            &["a|rolled back", "a|failed"],
            &["a"],
            "failed: 1 of 1 migrations FAILED: a_x (prisma, public.t)",
        ),
        (
            "flyway",
            &["1|baseline", "1.2"],
            &["0.9", "1", "1.2"],
            "ready: 3 of 3 migrations applied (flyway, public.t)",
        ),
        (
            "flyway",
            &["1|baseline", "1.2"],
            &["1.10"],
            "absent: 1 of 1 migrations missing: 1.10_x (flyway, public.t)",
        ),
        (
            "golang-migrate",
            &["3"],
            &["1", "2", "3"],
            "ready: 3 of 3 migrations applied (golang-migrate, public.t)",
        ),
        (
            "golang-migrate",
            &["2"],
            &["1", "2", "3"],
            "absent: 1 of 3 migrations missing: 3_x (golang-migrate, public.t)",
        ),
        (
            "golang-migrate",
            &["9|dirty"],
            &["1"],
            "failed: FAILED: 9 is dirty (golang-migrate, public.t)",
        ),
        (
            "tern",
            &["1", "2"],
            &["1"],
            "config: 2 rows, where one is the whole record (tern, public.t)",
        ),
        ("tern", &["0"], &["1"], "absent: 1 of 1 migrations missing: 1_x (tern, public.t)"),
    ] {
        let keys = wanted(keys);
        assert_eq!(said(seen(tool, rows).decide(Condition::Dir(&keys))), want, "{tool} {rows:?}");
    }
}

#[test]
fn unwanted_failures_are_mentioned_and_do_not_block() {
    let keys = wanted(&["a"]);
    let mut seen = seen("prisma", &["a", "b|failed", "c|unfinished"]);
    seen.held = live();
    assert_eq!(
        said(seen.decide(Condition::Dir(&keys))),
        "ready: 1 of 1 migrations applied (prisma, public.t); not wanted and failed: b; not wanted \
        and unfinished: c; \
         a migrator is at work"
    );
    seen.rows.truncate(1);
    seen.standby = true;
    seen.held = vec![Held::Row {
        holder: "host".to_owned(),
        table: "public.l".to_owned(),
        release: "unlock",
    }];
    assert_eq!(
        said(seen.decide(Condition::Version("a", None))),
        "ready: a is applied (prisma, public.t); locked by host, as public.l says; on a standby, \
        which may lag and shows no \
         locks of its primary"
    );
}

#[test]
fn a_failure_with_a_migrator_at_work_is_in_progress() {
    let keys = wanted(&["1"]);
    for (held, changing) in [(live(), false), (Vec::new(), true)] {
        let seen = Seen { held, changing, ..seen("golang-migrate", &["1|dirty"]) };
        for condition in [Condition::Dir(&keys), Condition::Version("1", None), Condition::Clean] {
            let said = said(seen.decide(condition));
            assert!(
                said.starts_with("absent: in progress: 1 is dirty, and a migrator is at work"),
                "{said}"
            );
        }
    }
}

#[test]
fn a_version_is_a_member_or_a_minimum() {
    for (tool, rows, version, want) in [
        ("rails", &["2"][..], "1", "absent: 1 is not applied (rails, public.t)"),
        (
            "rails",
            &["20240101120000"],
            "20240101120000_create_users",
            "ready: 20240101120000_create_users is applied (rails, public.t)",
        ),
        (
            "golang-migrate",
            &["5"],
            "3",
            "ready: at 5, at least 3 is wanted (golang-migrate, public.t)",
        ),
        (
            "golang-migrate",
            &["2"],
            "3",
            "absent: at 2, at least 3 is wanted (golang-migrate, public.t)",
        ),
        (
            "golang-migrate",
            &[],
            "3",
            "absent: at nothing, at least 3 is wanted (golang-migrate, public.t)",
        ),
        (
            "golang-migrate",
            &["2"],
            "x",
            "config: version: must be a number, e.g. 42 (golang-migrate, public.t)",
        ),
        ("flyway", &["2|baseline"], "1.5", "ready: 1.5 is applied (flyway, public.t)"),
        ("flyway", &["1.0"], "1", "ready: 1 is applied (flyway, public.t)"),
        ("flyway", &["2"], "1.5", "absent: 1.5 is not applied (flyway, public.t)"),
        (
            "django",
            &["shop.0002_x"],
            "shop.0002_x",
            "ready: shop.0002_x is applied (django, public.t)",
        ),
        (
            "liquibase",
            &["1::a::f.sql|applied|1::a|v1"],
            "v1",
            "ready: v1 is applied (liquibase, public.t)",
        ),
        (
            "sequel",
            &["20240101_add_n.rb|applied|20240101"],
            "20240101_Add_N.rb",
            "ready: 20240101_Add_N.rb is applied (sequel, public.t)",
        ),
        ("prisma", &["a|failed"], "a", "failed: FAILED: a (prisma, public.t)"),
        ("alembic", &["b"], "a", "absent: a is not applied (alembic, public.t)"),
    ] {
        assert_eq!(
            said(seen(tool, rows).decide(Condition::Version(version, None))),
            want,
            "{tool} {version}"
        );
    }
}

#[test]
fn clean_needs_success_and_no_migrator() {
    for (tool, rows, want) in [
        (
            "rails",
            &["1", "10", "9"][..],
            "ready: 3 applied, the latest 10, none failed, nobody seen at work (rails, public.t)",
        ),
        ("rails", &[], "absent: no migration is applied yet (rails, public.t)"),
        ("goose", &["1|reverted"], "absent: no migration is applied yet (goose, public.t)"),
        ("tern", &["0"], "absent: no migration is applied yet (tern, public.t)"),
        ("tern", &["4"], "ready: at 4, none failed, nobody seen at work (tern, public.t)"),
        ("prisma", &["a", "b|failed"], "failed: FAILED: b (prisma, public.t)"),
        (
            "prisma",
            &["a|rolled back", "a"],
            "ready: 1 applied, the latest a, none failed, nobody seen at work (prisma, public.t)",
        ),
        (
            "prisma",
            &["a", "b|unfinished"],
            "absent: in progress: begun and not finished: b (prisma, public.t)",
        ),
        (
            "alembic",
            &["x", "y"],
            "ready: at x, y, none failed, nobody seen at work (alembic, public.t)",
        ),
        ("flyway", &["1|marker"], "absent: no migration is applied yet (flyway, public.t)"),
    ] {
        assert_eq!(said(seen(tool, rows).decide(Condition::Clean)), want, "{tool} {rows:?}");
    }
    let busy = Seen { held: live(), ..seen("rails", &["1"]) };
    assert_eq!(
        said(busy.decide(Condition::Clean)),
        "absent: in progress: its advisory lock is held (rails, public.t)"
    );
    let moving = Seen { changing: true, ..seen("rails", &["1"]) };
    assert_eq!(
        said(moving.decide(Condition::Clean)),
        "absent: in progress: the table has just changed (rails, public.t)"
    );
    let row = Held::Row {
        holder: "vm since 1".to_owned(),
        table: "public.l".to_owned(),
        release: "unlock",
    };
    let stale = Seen { held: vec![row], ..seen("liquibase", &["1"]) };
    let Decision::NotYet { class: Class::Absent, message, hint, .. } =
        stale.decide(Condition::Clean)
    else {
        panic!("it blocks")
    };
    assert_eq!(message, "locked by vm since 1, as public.l says (liquibase, public.t)");
    assert_eq!(hint.unwrap(), "a migrator is at work, or was killed; unlock");
}

#[test]
fn heads_include_everything_before_them() {
    let revision = |id: &str, parents: &[&str], labels: &[&str]| Revision {
        id: id.to_owned(),
        label: id.to_owned(),
        parents: parents.iter().map(|parent| (*parent).to_owned()).collect(),
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
    };
    // a1 <- a2, b1 depends on branch a's beginning, m merges both.
    let graph = Graph::new(vec![
        revision("m", &["a2", "b1"], &[]),
        revision("a2", &["a1"], &[]),
        revision("b1", &["a"], &[]),
        revision("a1", &[], &["a"]),
    ]);
    let order: Vec<_> =
        graph.in_order().into_iter().map(|(_, revision)| revision.id.clone()).collect();
    assert_eq!((order[0].as_str(), order[3].as_str()), ("a1", "m"));
    let list = order.iter().map(|id| WantedMigration::new(id, id)).collect();
    let wanted = Wanted { list, graph: Some(graph) };
    for (heads, want) in [
        (&["m"][..], "ready: 4 of 4 migrations applied (alembic, public.t)"),
        (&["b1"], "absent: 2 of 4 migrations missing: a2, m (alembic, public.t)"),
        (&["a2", "b1"], "absent: 1 of 4 migrations missing: m (alembic, public.t)"),
        (
            &["zz"],
            "ready: 4 of 4 migrations applied (alembic, public.t); the database is at zz, which \
            this directory does not know: \
             ahead of it",
        ),
        (&[], "absent: 4 of 4 migrations missing: "),
    ] {
        let said = said(seen("alembic", heads).decide(Condition::Dir(&wanted)));
        assert!(said.starts_with(want), "{heads:?}: {said}");
    }
    let graph = Some(&wanted);
    assert_eq!(
        said(seen("alembic", &["m"]).decide(Condition::Version("a1", graph))),
        "ready: a1 is applied (alembic, public.t)"
    );
    assert!(
        said(seen("alembic", &["a2"]).decide(Condition::Version("b1", graph)))
            .starts_with("absent: b1 is not applied")
    );
}

#[test]
fn a_squashed_migration_is_applied_when_all_that_it_replaces_are() {
    let replaces = vec!["s.1".to_owned(), "s.2".to_owned()];
    let wanted =
        Wanted::list(vec![WantedMigration { replaces, ..WantedMigration::new("s.1_2", "s.1_2") }]);
    for (rows, ready) in [
        (&["s.1", "s.2"][..], true),
        (&["s.1", "s.2", "s.1_2"], true),
        // Django would run it again.
        (&["s.1_2"], false),
        (&["s.1", "s.1_2"], false),
        (&["s.1"], false),
        (&[], false),
    ] {
        let decision = seen("django", rows).decide(Condition::Dir(&wanted));
        assert_eq!(matches!(decision, Decision::Ready { .. }), ready, "{rows:?}");
    }
}

#[test]
fn a_version_below_zero_is_no_migration() {
    let wanted = wanted(&["1"]);
    for condition in [Condition::Dir(&wanted), Condition::Clean, Condition::Version("0", None)] {
        let said = said(seen("golang-migrate", &["-1"]).decide(condition));
        assert!(said.starts_with("absent: "), "{said}");
    }
}
