//! Each kind of dependency against the real thing.

mod http;
mod nats;
mod postgres;
