use super::*;
use crate::kinds::migrations::tools::named_tool;

fn relation(full_name: &str, columns: &str) -> Relation {
    let (schema, name) = full_name.split_once('.').unwrap();
    let column = |text: &str| {
        text.split_once(' ').map(|(name, typname)| (name.to_owned(), typname.to_owned())).unwrap()
    };
    Relation {
        id: "1".to_owned(),
        schema: schema.to_owned(),
        name: name.to_owned(),
        reachable: true,
        readable: true,
        columns: columns.split(", ").map(column).collect(),
    }
}

fn search<'a>(tools: impl IntoIterator<Item = &'a Tool>, table: Option<&str>) -> Search {
    let table = table.map(|table| TableName::read(table).unwrap());
    Search { tools: tools.into_iter().copied().collect(), table, column: None, has_dir: false }
}

fn path() -> Vec<String> {
    vec!["app".to_owned(), "public".to_owned()]
}

/// `TOOL SCHEMA.TABLE`, or the message.
fn found(search: &Search, relations: &[Relation]) -> String {
    let candidates = search.candidates(relations, &path());
    let meant = vec![true; search.tools.len()];
    let found = search
        .choose(&candidates, relations)
        .unwrap_or_else(|| search.nothing(relations, &path(), &meant));
    match found {
        Found::Table(of) => {
            format!("{} {}", search.tools[of.place].name, of.table.full_name())
        }
        Found::Alike(alike) => search.alike(&alike),
        Found::Nothing { looked_for, hint } => {
            format!("none: {looked_for}; {}", hint.unwrap_or_default())
        }
        Found::Unclear(message) => message,
    }
}

const VERSIONS: &str = "version varchar";

#[test]
fn columns_identify_a_common_name() {
    for (columns, want) in [
        ("version int8, dirty bool", "golang-migrate"),
        ("version int8, inserted_at timestamp", "ecto"),
        ("filename text", "sequel"),
        (VERSIONS, "dbmate"),
    ] {
        let relations = [relation("public.schema_migrations", columns)];
        assert_eq!(
            found(&search(TOOLS, None), &relations),
            format!("{want} public.schema_migrations")
        );
    }
    for (columns, want) in [
        ("id int4, timestamp int8, name varchar", "typeorm"),
        ("id int4, migration varchar, batch int4", "laravel"),
    ] {
        let relations = [relation("public.migrations", columns)];
        assert_eq!(found(&search(TOOLS, None), &relations), format!("{want} public.migrations"));
    }
}

#[test]
fn the_most_specific_shape_wins() {
    for (columns, want) in [
        ("name varchar, timestamp varchar", "kysely public.own"),
        ("id int4, name varchar, executed_at timestamptz", "mikro-orm public.own"),
        ("name varchar", "sequelize public.own"),
        ("name varchar, createdAt timestamptz, updatedAt timestamptz", "sequelize public.own"),
        ("id int4, name varchar, batch int4, migration_time timestamptz", "knex public.own"),
        ("id int4, timestamp int8, name varchar", "typeorm public.own"),
        (
            "id int4, name varchar, run_on timestamp",
            "public.own may be the table of db-migrate or node-pg-migrate: say which by tool=",
        ),
    ] {
        let relations = [relation("public.own", columns)];
        assert_eq!(found(&search(TOOLS, Some("own")), &relations), want);
        // An unknown name and additional columns: the table of no known tool.
        let strange = [relation("public.own", "name varchar, hash text, bird text")];
        let said = found(&search(TOOLS, Some("own")), &strange);
        assert!(said.contains("no known tool's has"), "{said}");
    }
    let relations = [relation("public.pgmigrations", "id int4, name varchar, run_on timestamp")];
    assert_eq!(found(&search(TOOLS, None), &relations), "node-pg-migrate public.pgmigrations");
}

#[test]
fn rails_is_identified_by_its_metadata_table() {
    let alone = [relation("public.schema_migrations", VERSIONS)];
    let metadata = relation("public.ar_internal_metadata", "key varchar, value varchar");
    let both = [metadata.clone(), alone[0].clone()];
    let elsewhere = [Relation { schema: "app".to_owned(), ..metadata }, alone[0].clone()];
    assert_eq!(found(&search(TOOLS, None), &both), "rails public.schema_migrations");
    assert_eq!(found(&search(TOOLS, None), &elsewhere), "dbmate public.schema_migrations");
    assert_eq!(found(&search(named_tool("rails"), None), &alone), "rails public.schema_migrations");
    assert_eq!(
        found(&search(named_tool("dbmate"), None), &both),
        "dbmate public.schema_migrations"
    );
}

#[test]
fn only_path_and_own_schema_count() {
    let supabase = [
        relation("auth.schema_migrations", VERSIONS),
        relation("realtime.schema_migrations", "version int8, inserted_at timestamp"),
        relation(
            "supabase_migrations.schema_migrations",
            "version text, statements _text, name text",
        ),
    ];
    assert_eq!(
        found(&search(TOOLS, None), &supabase),
        "supabase supabase_migrations.schema_migrations"
    );
    let business = [
        relation("public.changes", "id int4, change text, project text"),
        relation("public.migrations", "bird text"),
    ];
    assert!(
        found(&search(named_tool("sqitch"), None), &business)
            .starts_with("none: changes in sqitch;")
    );
    let drizzle = [relation("drizzle.__drizzle_migrations", "id int4, hash text, created_at int8")];
    assert_eq!(found(&search(TOOLS, None), &drizzle), "drizzle drizzle.__drizzle_migrations");
}

#[test]
fn several_candidates_are_named() {
    let two = [
        relation("app.schema_migrations", VERSIONS),
        relation("public.schema_migrations", VERSIONS),
    ];
    let want = "several migration tables: app.schema_migrations (dbmate), public.schema_migrations \
        (dbmate); say which by tool= or table=";
    assert_eq!(found(&search(TOOLS, None), &two), want);
    assert_eq!(
        found(&search(TOOLS, Some("app.schema_migrations")), &two),
        "dbmate app.schema_migrations"
    );
    let other = [
        relation(
            "public._sqlx_migrations",
            "version int8, success bool, checksum bytea, execution_time int8",
        ),
        two[1].clone(),
    ];
    assert!(
        found(&search(TOOLS, None), &other)
            .starts_with("several migration tables: public._sqlx_migrations (sqlx), ")
    );
    assert_eq!(found(&search(named_tool("sqlx"), None), &other), "sqlx public._sqlx_migrations");
}

#[test]
fn a_replaced_table_is_skipped() {
    let both = [
        relation("public.schema_info", "version int4"),
        relation("public.schema_migrations", "filename text"),
    ];
    assert_eq!(found(&search(TOOLS, None), &both), "sequel public.schema_migrations");
    let numbered = named_tool("sequel").filter(|tool| tool.table == "schema_info");
    assert_eq!(found(&search(numbered, None), &both), "sequel public.schema_info");
}

#[test]
fn a_mistake_is_explained() {
    let golang = [relation("public.schema_migrations", "version int8, dirty bool")];
    assert_eq!(
        found(&search(named_tool("ecto"), None), &golang),
        "public.schema_migrations is golang-migrate's, but tool=ecto is wanted"
    );
    let files = Search { has_dir: true, ..search(named_tool("ecto"), None) };
    assert_eq!(
        found(&files, &golang),
        "public.schema_migrations is golang-migrate's, but the files in dir are ecto's (such as \
        20240101120000_name.exs)"
    );
    let unknown = [relation("public.migrations", "id int4, bird text")];
    assert_eq!(
        found(&search(TOOLS, None), &unknown),
        "public.migrations has columns that no known tool's has (id int4, bird text): name the \
        tool's own by table=, or this one's column by column="
    );
    let mut own = search([&crate::kinds::migrations::tools::UNKNOWN], Some("migrations"));
    own.column = Some("name".to_owned());
    assert_eq!(
        found(&own, &unknown),
        "public.migrations has no column name (it has id int4, bird text)"
    );
}

#[test]
fn an_unknown_table_beside_a_known_one_is_no_mistake() {
    let both = [
        relation(
            "public.knex_migrations",
            "id int4, name varchar, batch int4, migration_time timestamptz",
        ),
        relation("public.migrations", "id int4, bird text"),
    ];
    assert_eq!(found(&search(TOOLS, None), &both), "knex public.knex_migrations");
}

#[test]
fn unsound_tools_are_refused_with_the_reason() {
    let bun = [relation(
        "public.bun_migrations",
        "id int8, name varchar, group_id int8, migrated_at timestamptz",
    )];
    assert_eq!(
        found(&search(TOOLS, None), &bun),
        "public.bun_migrations is bun's: it records a migration before running it, so that a row \
        proves nothing; \
         use postgres: with a query instead"
    );
    let gormigrate = [relation("public.migrations", "id varchar")];
    assert!(
        found(&search(TOOLS, None), &gormigrate).starts_with("public.migrations is gormigrate's: ")
    );
}

#[test]
fn the_message_names_what_was_looked_for() {
    assert_eq!(
        found(&search(named_tool("rails"), None), &[]),
        "none: schema_migrations in app, public; "
    );
    assert_eq!(found(&search(named_tool("sequel"), Some("x.y")), &[]), "none: x.y; ");
    let all = found(&search(TOOLS, None), &[]);
    assert!(
        all.starts_with("none: the tables of ") && all.ends_with(" tools in app, public; "),
        "{all}"
    );
    let liquibase = [relation(
        "public.databasechangelog",
        "id varchar, author varchar, filename varchar, exectype varchar, orderexecuted int4",
    )];
    assert_eq!(
        found(&search(named_tool("rails"), None), &liquibase),
        "none: schema_migrations in app, public; there is public.databasechangelog (liquibase), \
        which is not what is asked for"
    );
}

#[test]
fn a_table_off_the_search_path_is_named() {
    let elsewhere = [relation("tenant.schema_migrations", "version int8, dirty bool")];
    let said = found(&search(named_tool("golang-migrate"), None), &elsewhere);
    let hint = "there is tenant.schema_migrations, which is not on the search path: if it is the \
        one, say table=tenant.schema_migrations";
    assert_eq!(said, format!("none: schema_migrations in app, public; {hint}"));
}

#[test]
fn a_renamed_table_is_found_by_tool_or_columns() {
    let own = [relation("app.history", "version int8, dirty bool")];
    assert_eq!(found(&search(TOOLS, Some("app.history")), &own), "golang-migrate app.history");
    assert_eq!(
        found(&search(named_tool("golang-migrate"), Some("history")), &own),
        "golang-migrate app.history"
    );
}
