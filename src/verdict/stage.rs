//! The stage of an attempt, so that the failure of a cut attempt can name it.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The step that an attempt waits for now.
#[derive(Debug, Default)]
pub struct Stage(Mutex<String>);

impl Stage {
    /// Takes the latest stage.
    pub fn take(&self) -> String {
        std::mem::take(&mut *self.text())
    }

    /// Records the next stage, e.g. `connected to 127.0.0.1:4222, but no NATS INFO`.
    pub fn set(&self, stage: impl Into<String>) {
        *self.text() = stage.into();
    }

    fn text(&self) -> MutexGuard<'_, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
