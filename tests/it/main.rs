//! The one integration-test crate: the real binary against real servers.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a broken test shall panic

mod exec;
mod exit_codes;
mod harness;
mod signals;
mod support;
