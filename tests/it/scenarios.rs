//! Known incidents, replayed with several servers and whole processes.

mod bosh_postgres;
mod herd;
mod postgrest;
