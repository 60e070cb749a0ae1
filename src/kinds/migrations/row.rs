//! One row of a history table, whatever tool wrote it.

/// One row of a history table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// The tool's name for the migration.
    pub key: String,
    /// Its state.
    pub state: State,
    /// Further names for it.
    pub aliases: Vec<String>,
}

/// The state of a row's migration, from the least to the most serious.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum State {
    /// A mark of the tool itself, for no migration.
    Marker,
    /// Applied once, and undone.
    Reverted,
    /// Declared as rolled back after a failure.
    RolledBack,
    /// Applied, together with every migration before it.
    Baseline,
    /// Applied.
    Applied,
    /// Begun. Locks show if a migrator still works on it.
    Unfinished,
    /// Begun, and either still running or failed. Locks decide which.
    Dirty,
    /// Failed.
    Failed,
}

impl State {
    /// Every state.
    pub(super) const ALL: [State; 8] = [
        State::Marker,
        State::Reverted,
        State::RolledBack,
        State::Baseline,
        State::Applied,
        State::Unfinished,
        State::Dirty,
        State::Failed,
    ];

    /// Returns the state's word in a SELECT's second column and in documentation.
    pub(super) fn name(self) -> &'static str {
        match self {
            State::Marker => "marker",
            State::Reverted => "reverted",
            State::RolledBack => "rolled back",
            State::Baseline => "baseline",
            State::Applied => "applied",
            State::Unfinished => "unfinished",
            State::Dirty => "dirty",
            State::Failed => "failed",
        }
    }

    /// The state that a SELECT's second column names.
    pub(super) fn read(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == word)
    }

    /// Returns true if the migration's changes are in the database.
    pub(super) fn is_done(self) -> bool {
        matches!(self, State::Applied | State::Baseline)
    }

    /// Returns true if the migration is recorded as failed. A dirty one is, unless a migrator is at
    /// work.
    pub(super) fn is_failed(self) -> bool {
        matches!(self, State::Failed | State::Dirty)
    }
}
