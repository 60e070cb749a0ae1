//! `afterall` waits until a service's dependencies are really ready, then becomes the service.
//!
//! The modules, in the direction in which the arrows point:
//!
//! ```text
//! argv, env, file -> cli -> plan -> wait -- attempt() --> Verdict -- policy --> stop or retry
//!                                    |-> events -> report
//!                                    |-> end    -> exec | exit
//! ```
//!
//! `spec` is a parsed declaration, `probe` is the contract of one attempt, `verdict` its outcome. A
//! kind of dependency is one room under [`kinds`] and two adjacent lines in its `mod.rs`. It uses
//! [`spec`], [`probe`], [`connect`] and [`tls`].
//!
//! The interface of `afterall` is its command line. This library serves the binary and the tests,
//! and promises no stability.

#![doc(hidden)]
// Not in Cargo.toml: in the binary and the tests, nothing public is reachable.
#![deny(unreachable_pub)]

#[cfg(not(target_os = "linux"))]
compile_error!("afterall runs on Linux only: it needs signalfd, /proc and abstract sockets");

pub mod blocking;
pub mod children;
pub mod civil;
pub mod cli;
pub mod connect;
pub mod exec;
pub mod exit;
pub mod kinds;
pub mod os;
pub mod plan;
pub mod probe;
pub mod report;
pub mod secret;
pub mod signals;
pub mod sort;
pub mod spec;
pub mod text;
pub mod tls;
pub mod verdict;
pub mod wait;
