//! Each kind of dependency against the real thing.

mod failures;
mod generic;
mod http;
mod migrations;
mod nats;
mod postgres;
#[cfg(feature = "redis")]
mod redis;
mod secrets;
mod tls;
