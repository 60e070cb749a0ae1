//! The one integration-test crate: the real binary against real servers.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a broken test shall panic

mod exec;
mod exit_codes;
mod generated;
mod harness;
mod kinds;
mod signals;
mod support;
