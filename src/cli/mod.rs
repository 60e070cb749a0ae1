//! From argv, environment and config file to options and declarations.

pub mod args;
pub mod config;
pub mod from_env;
mod help;
pub mod options;
pub mod usage;
