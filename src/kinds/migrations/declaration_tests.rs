use super::{postgres, readers};
use crate::{
    probe::Probe,
    spec::{KeyValue, Spec, expand},
};

fn refused(keys: &[(&str, &str)]) -> String {
    match built(keys) {
        Ok(_) => panic!("it was built"),
        Err(error) => error,
    }
}

fn built(keys: &[(&str, &str)]) -> Result<Box<dyn Probe>, String> {
    let keys = keys
        .iter()
        .map(|(name, value)| KeyValue {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
            items: value.split('+').map(str::to_owned).collect(),
            at: None,
        })
        .collect();
    let rest = expand::Text::literal("//app@127.0.0.1:5432/app");
    let env = expand::Env::new(|_| None);
    let spec = Spec::new("schema".to_owned(), "migrations+postgres".to_owned(), rest, keys, env);
    (postgres::KIND.build)(&spec).map_err(|error| error.to_string())
}

#[test]
fn an_error_states_what_would_be_right() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty");
    let sql = dir.path().join("sql");
    std::fs::create_dir_all(&empty).unwrap();
    std::fs::create_dir_all(&sql).unwrap();
    std::fs::write(sql.join("20240101_a.sql"), "").unwrap();
    let (empty, sql) = (empty.to_str().unwrap(), sql.to_str().unwrap());
    let above = dir.path().to_str().unwrap();
    for (keys, want) in [
        (vec![("tool", "rials")], "schema: tool: unknown tool, did you mean rails?".to_owned()),
        (
            vec![("tool", "bun")],
            "schema: tool: bun cannot be checked: it records a migration before running it, so \
            that a row proves nothing; \
             use postgres: with a query instead"
                .to_owned(),
        ),
        (
            vec![("dir", sql), ("version", "1")],
            "schema: dir and version exclude each other: dir wants every migration in it, version \
            one"
            .to_owned(),
        ),
        (vec![("column", "x")], "schema: column: needs table=, whose column it is".to_owned()),
        (
            vec![("table", "a.b.c")],
            "schema: table: must be TABLE or SCHEMA.TABLE, e.g. app.schema_migrations".to_owned(),
        ),
        (
            vec![("key-pattern", "(x)")],
            "schema: key-pattern: needs dir=, whose files it reads".to_owned(),
        ),
        (
            vec![("version", " ")],
            "schema: version: must be a migration's key in the table".to_owned(),
        ),
        (
            vec![("version", "x"), ("tool", "tern")],
            "schema: version: must be a number with tool=tern, e.g. 42".to_owned(),
        ),
        (
            vec![("dir", empty)],
            format!(
                "schema: dir: {empty} holds no migration of any known tool (for others: table=, \
                column= and key-pattern=)"
            ),
        ),
        (
            vec![("dir", sql), ("tool", "rails")],
            format!(
                "schema: dir: {sql} holds no migration of rails's (such as 20240101120000_name.rb)"
            ),
        ),
        (
            vec![("dir", sql), ("table", "t"), ("column", "c"), ("key-pattern", "x")],
            "schema: key-pattern: must have exactly one (...), around the key, e.g. ^V([0-9]+)__"
                .to_owned(),
        ),
        (
            vec![("dir", sql), ("key-pattern", "(x)")],
            "schema: key-pattern: needs tool=, or table= and column=: it does not name a table"
                .to_owned(),
        ),
        (
            vec![("where", "true")],
            "schema: where: needs table= and column=, whose rows it selects".to_owned(),
        ),
        (
            vec![("table", "t"), ("column", "c"), ("where", " ")],
            "schema: where: must be a condition, e.g. status = 'done'".to_owned(),
        ),
        (
            vec![("table", "t"), ("column", "c"), ("order", "up")],
            "schema: order: must be number, dotted or text".to_owned(),
        ),
        (
            vec![("table", "t"), ("column", "c"), ("order", "dotted"), ("version", "v1")],
            "schema: version: must be numbers between dots with order=dotted, e.g. 1.18".to_owned(),
        ),
        (
            vec![("dir", sql), ("tool", "rails"), ("apps", "shop")],
            "schema: apps: needs tool=django or tool=aerich".to_owned(),
        ),
        (
            vec![("dir", above), ("tool", "dbmate")],
            format!(
                "schema: dir: {above} holds no migration of dbmate's (such as \
                20240101120000_name.sql): \
                 files of dbmate's lie one level below, in sql/"
            ),
        ),
        (
            vec![("dir", empty), ("tool", "dbmate")],
            format!(
                "schema: dir: {empty} holds no migration of dbmate's (such as \
                20240101120000_name.sql)"
            ),
        ),
        (
            vec![("dir", sql), ("tool", "liquibase")],
            format!("schema: dir: {}", readers::liquibase::INSTEAD),
        ),
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
