//! The assignments that a migration written in Python makes, read without running it.
//!
//! ```text
//! bytes -> source (encoding) -> tokens -> module (statements, assignments, classes)
//! ```

mod module;
mod source;
mod tokens;

pub(crate) use module::{Class, Module, Value};
