//! golang-migrate's own parameters, which name its table.

use crate::kinds::postgres::dsn::Params;

/// The table that golang-migrate's `x-migrations-table` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationsTable {
    /// `None` means the first schema of the search path.
    pub schema: Option<String>,
    /// The name in the database, neither quoted nor folded.
    pub table: String,
}

impl MigrationsTable {
    /// Reads `x-migrations-table`, which under `x-migrations-table-quoted` is `"table"` or
    /// `"schema"."table"`.
    pub(super) fn read(params: &Params) -> Result<Option<Self>, String> {
        const SHAPE: &str = "x-migrations-table: must be quoted where x-migrations-table-quoted is \
            set, e.g. \"migrate\".\"schema_migrations\"";
        let Some(name) = params.get("x-migrations-table") else { return Ok(None) };
        let quoted = match params.get("x-migrations-table-quoted") {
            None | Some("0" | "f" | "F" | "false" | "FALSE" | "False") => false,
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => true,
            Some(_) => return Err("x-migrations-table-quoted: must be true or false".to_owned()),
        };
        if !quoted {
            return Ok(Some(Self { schema: None, table: name.to_owned() }));
        }
        let inside = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).ok_or(SHAPE)?;
        let parts: Vec<_> = inside.split("\".\"").collect();
        match parts.as_slice() {
            [table] if !table.contains('"') => {
                Ok(Some(Self { schema: None, table: (*table).to_owned() }))
            }
            [schema, table] if !schema.contains('"') && !table.contains('"') => {
                Ok(Some(Self { schema: Some((*schema).to_owned()), table: (*table).to_owned() }))
            }
            _ => Err(SHAPE.to_owned()),
        }
    }
}
