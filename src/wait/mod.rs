//! The wait: one task per dependency, pure decisions about pace and end, events for the report.

pub mod choice;
pub mod engine;
pub mod event;
pub mod pauses;
pub mod policy;
pub mod settings;
pub mod waiter;

pub use choice::Needs;
pub use engine::{Listener, WaitContext, wait};
pub use pauses::Pauses;
pub use waiter::Dependency;
