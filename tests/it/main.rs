//! The one integration-test crate: the real binary against real servers.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a broken test shall panic

mod any;
mod bosh_chain;
mod cli;
mod config;
mod cost;
mod docs;
mod empty_root;
mod engine;
mod exec;
mod exit_codes;
mod fuzz;
mod generated;
mod harness;
mod house;
mod json;
mod kinds;
mod live;
mod notify;
mod once;
mod picture;
mod recipes;
mod release;
mod report;
mod scenarios;
mod signals;
mod sources;
mod support;
