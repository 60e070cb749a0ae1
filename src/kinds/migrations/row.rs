//! One row of a history table, whatever tool wrote it.

/// One row of a history table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What the tool calls the migration.
    pub key: String,
    /// What became of it.
    pub state: State,
    /// Further names for it.
    pub aliases: Vec<String>,
}

/// What a row says of its migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Nothing about a migration: a mark of the tool's.
    Marker,
    /// Taken back.
    Reverted,
    /// Declared as rolled back after a failure.
    RolledBack,
    /// Done, and with it all that come before.
    Baseline,
    /// Done.
    Applied,
    /// Begun; whether anybody still works on it, locks tell.
    Unfinished,
    /// Begun, and either still running or failed: locks tell which.
    Dirty,
    /// Failed.
    Failed,
}

impl State {
    /// The state that a SELECT's second column names.
    pub fn read(word: &str) -> Option<Self> {
        Some(match word {
            "applied" => State::Applied,
            "baseline" => State::Baseline,
            "failed" => State::Failed,
            "dirty" => State::Dirty,
            "unfinished" => State::Unfinished,
            "reverted" => State::Reverted,
            "rolled back" => State::RolledBack,
            "marker" => State::Marker,
            _ => return None,
        })
    }

    /// Whether the migration's changes are there.
    pub fn is_done(self) -> bool {
        matches!(self, State::Applied | State::Baseline)
    }

    /// Whether it is recorded as failed; of a dirty one, as long as no migrator is at work.
    pub fn is_failed(self) -> bool {
        matches!(self, State::Failed | State::Dirty)
    }
}
