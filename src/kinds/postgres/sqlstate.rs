//! The SQLSTATEs that decide something here (PostgreSQL manual, appendix A).

/// `protocol_violation`; also nearly everything that PgBouncer refuses.
pub const PROTOCOL_VIOLATION: &str = "08P01";
/// `connection_failure`.
pub const CONNECTION_FAILURE: &str = "08006";
/// `cardinality_violation`.
pub const CARDINALITY_VIOLATION: &str = "21000";
/// `invalid_parameter_value`.
pub const INVALID_PARAMETER_VALUE: &str = "22023";
/// `read_only_sql_transaction`.
pub const READ_ONLY_TRANSACTION: &str = "25006";
/// `transaction_timeout`, since PostgreSQL 17.
pub const TRANSACTION_TIMEOUT: &str = "25P04";
/// `invalid_authorization_specification`: no such role, or pg_hba.conf does not admit it.
pub const INVALID_AUTHORIZATION: &str = "28000";
/// `invalid_password`.
pub const INVALID_PASSWORD: &str = "28P01";
/// `invalid_catalog_name`: no such database.
pub const INVALID_CATALOG_NAME: &str = "3D000";
/// `invalid_schema_name`.
pub const INVALID_SCHEMA_NAME: &str = "3F000";
/// `insufficient_privilege`.
pub const INSUFFICIENT_PRIVILEGE: &str = "42501";
/// `syntax_error`.
pub const SYNTAX_ERROR: &str = "42601";
/// `undefined_column`.
pub const UNDEFINED_COLUMN: &str = "42703";
/// `undefined_object`.
pub const UNDEFINED_OBJECT: &str = "42704";
/// `grouping_error`.
pub const GROUPING_ERROR: &str = "42803";
/// `datatype_mismatch`.
pub const DATATYPE_MISMATCH: &str = "42804";
/// `undefined_function`.
pub const UNDEFINED_FUNCTION: &str = "42883";
/// `undefined_table`.
pub const UNDEFINED_TABLE: &str = "42P01";
/// `lock_not_available`.
pub const LOCK_NOT_AVAILABLE: &str = "55P03";
/// `query_canceled`.
pub const QUERY_CANCELED: &str = "57014";
/// `cannot_connect_now`: starting up, shutting down, or in recovery.
pub const CANNOT_CONNECT_NOW: &str = "57P03";
/// `database_dropped`.
pub const DATABASE_DROPPED: &str = "57P04";
/// `system_error`.
pub const SYSTEM_ERROR: &str = "58000";
/// `internal_error`.
pub const INTERNAL_ERROR: &str = "XX000";
