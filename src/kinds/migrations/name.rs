//! Names of tables: as operators write them, as SQL quotes them, and the search path that they are
//! found on.

/// `TABLE` or `SCHEMA.TABLE`, each as it is in the catalog; double quotes allow for a dot in one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TableName {
    /// The schema, if one was given.
    pub schema: Option<String>,
    /// The table.
    pub table: String,
}

impl TableName {
    /// Reads it.
    ///
    /// # Errors
    /// An empty part, more than two parts, a quote that is not closed.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        const SHAPE: &str = "must be TABLE or SCHEMA.TABLE, e.g. app.schema_migrations";
        let mut parts = split(text, '.').ok_or(SHAPE)?;
        let table = parts.pop().map(|(name, _)| name);
        let schema = parts.pop().map(|(name, _)| name);
        match (table, &schema) {
            (Some(table), schema_part)
                if parts.is_empty()
                    && !table.is_empty()
                    && schema_part.as_deref() != Some("")
                    && !text.contains('\0') =>
            {
                Ok(Self { schema, table })
            }
            _ => Err(SHAPE.to_owned()),
        }
    }
}

/// The schemas of a `search_path` as the server shows it. `$user` is the role; names without quotes
/// are in lower case.
#[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "MySQL has no search path"))]
pub(super) fn search_path(shown: &str, user: &str) -> Vec<String> {
    let parts = split(shown, ',').unwrap_or_default().into_iter();
    let names = parts.map(|(name, quoted)| match name.as_str() {
        "$user" => user.to_owned(),
        name if quoted => name.to_owned(),
        name => name.to_lowercase(),
    });
    let mut path: Vec<String> = Vec::new();
    for name in names.filter(|name| !name.is_empty()) {
        if !path.contains(&name) {
            path.push(name);
        }
    }
    path
}

/// The parts between separators outside of double quotes, and whether they were quoted.
fn split(text: &str, separator: char) -> Option<Vec<(String, bool)>> {
    let mut parts = Vec::new();
    let (mut part, mut was_quoted, mut quoted) = (String::new(), false, false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.next_if_eq(&'"').is_some() => part.push('"'),
            '"' => (quoted, was_quoted) = (!quoted, true),
            c if c == separator && !quoted => {
                parts.push((std::mem::take(&mut part), std::mem::take(&mut was_quoted)));
            }
            c if c.is_whitespace() && !quoted => {}
            c => part.push(c),
        }
    }
    parts.push((part, was_quoted));
    (!quoted).then_some(parts)
}

/// Returns a name in SQL's quotes.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Returns a name for a statement that people copy: quoted only if necessary.
pub(super) fn shown(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain { name.to_owned() } else { quoted(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_named_as_in_the_catalog() {
        let read = |text| TableName::read(text).map(|name| (name.schema, name.table)).ok();
        let name =
            |schema: Option<&str>, table: &str| Some((schema.map(str::to_owned), table.to_owned()));
        for (text, want) in [
            ("schema_migrations", name(None, "schema_migrations")),
            ("public.SequelizeMeta", name(Some("public"), "SequelizeMeta")),
            ("\"odd.schema\".\"a\"\"b\"", name(Some("odd.schema"), "a\"b")),
            ("a.b.c", None),
            (".b", None),
            ("a.", None),
            ("", None),
            ("\"a", None),
        ] {
            assert_eq!(read(text), want, "{text}");
        }
    }

    #[test]
    fn the_search_path_is_read_as_the_server_reads_it() {
        assert_eq!(search_path("\"$user\", public", "app"), ["app", "public"]);
        assert_eq!(
            search_path("$user,Tenant, \"Tenant\", public, public", "app"),
            ["app", "tenant", "Tenant", "public"]
        );
        assert_eq!(search_path("", "app"), Vec::<String>::new());
        assert_eq!(search_path("\"\"", "app"), Vec::<String>::new());
    }

    #[test]
    fn names_are_quoted_where_they_must_be() {
        assert_eq!(quoted("a\"b; drop"), "\"a\"\"b; drop\"");
        assert_eq!((shown("a_1"), shown("A")), ("a_1".to_owned(), "\"A\"".to_owned()));
    }
}
