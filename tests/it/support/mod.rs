//! Support for the tests: a builder around the binary, and real servers. Scripted servers are for
//! faults that real ones cannot show.

// A helper may be unused for a while.
#![allow(dead_code, unused_imports)]

pub mod afterall;
pub mod certs;
pub mod cluster;
pub mod command;
pub mod dir;
pub mod done;
pub mod http;
#[cfg(feature = "k8s")]
pub mod kubernetes;
pub mod look;
pub mod monit;
pub mod mysql;
pub mod nats;
pub mod nginx;
pub mod odd;
pub mod pgbouncer;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod psql;
pub mod python;
pub mod rabbitmq;
pub mod redis;
pub mod scripted;
mod silent_files;
pub mod stated;
pub mod template;
pub mod tmux;
pub mod wait;

pub use afterall::{Afterall, Running, is_waiting};
pub use certs::{Authority, Identity};
pub use cluster::Cluster;
pub use command::{Counted, sh};
pub use dir::Dir;
pub use done::Done;
pub use http::{Http, response, response_with};
#[cfg(feature = "k8s")]
pub use kubernetes::Kubernetes;
pub use monit::Monit;
pub use mysql::MariaDb;
pub use nats::Nats;
pub use nginx::Nginx;
pub use pgbouncer::PgBouncer;
pub use ports::Address;
pub use postgres::{Postgres, Shutdown};
pub use python::python;
pub use rabbitmq::RabbitMq;
pub use redis::Redis;
pub use scripted::{BlackHole, Reserved, Scripted};
pub use silent_files::SilentFiles;
pub use stated::Stated;
pub use tmux::Terminal;
pub use wait::{LONG, ms, secs, wait_for, wait_until};

/// The cargo features, each with the name of its kind, and whether this build has it.
pub const FEATURES: [(&str, bool); 11] = [
    ("postgres", cfg!(feature = "postgres")),
    ("nats", cfg!(feature = "nats")),
    ("http", cfg!(feature = "http")),
    ("redis", cfg!(feature = "redis")),
    ("mysql", cfg!(feature = "mysql")),
    ("grpc", cfg!(feature = "grpc")),
    ("amqp", cfg!(feature = "amqp")),
    ("kafka", cfg!(feature = "kafka")),
    ("mongodb", cfg!(feature = "mongodb")),
    ("memcached", cfg!(feature = "memcached")),
    ("k8s", cfg!(feature = "k8s")),
];

/// Returns true if the binary has every kind, as the committed documentation and manual do.
pub fn has_every_kind() -> bool {
    FEATURES.iter().all(|(_, is_here)| *is_here)
}
