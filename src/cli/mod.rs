//! From argv, environment and config file to options and declarations.

pub mod args;
pub mod config;
pub mod given;
pub mod options;
pub mod usage;

pub use args::Cli;
