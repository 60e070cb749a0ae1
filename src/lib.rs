//! `afterall` waits until a service's dependencies are really ready, then becomes the service.
//!
//! The map, in the direction in which the arrows point:
//!
//! ```text
//! argv, env, file -> cli + config -> options -> plan -> wait -- attempt() --> Verdict -- policy --> again or stop
//!                       (expand, spec, keys)             |-> events -> report
//!                                                        |-> end    -> exec | exit
//! ```
//!
//! A kind of dependency is one file under [`kinds`] and two adjacent lines in its `mod.rs`; it knows
//! [`probe`], [`spec`], [`connect`] and [`tls`], and nobody outside knows it.

pub mod cli;
pub mod config;
pub mod connect;
pub mod event;
pub mod exec;
pub mod exit;
pub mod expand;
pub mod keys;
pub mod kinds;
pub mod options;
pub mod plan;
pub mod policy;
pub mod print_plan;
pub mod probe;
pub mod report;
pub mod signals;
pub mod spec;
pub mod text;
pub mod tls;
pub mod usage;
pub mod wait;
