//! What an attempt is doing, so that an attempt that was cut can report how far it came.

/// What an attempt is doing, so that a cut one can still say how far it came.
#[derive(Debug, Default)]
pub struct Stage(std::sync::Mutex<String>);

impl Stage {
    /// The last thing the attempt said that it was doing.
    pub fn take(&self) -> String {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

impl Stage {
    /// Records what comes next, e.g. `connected to 127.0.0.1:4222, but no NATS INFO`.
    pub fn set(&self, what: impl Into<String>) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = what.into();
    }
}
