//! Each kind of dependency against the real thing.

mod http;
mod migrations;
mod nats;
mod postgres;
