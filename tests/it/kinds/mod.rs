//! Each kind of dependency against the real thing.

#[cfg(feature = "amqp")]
mod amqp;
mod command;
mod failures;
mod generic;
#[cfg(feature = "grpc")]
pub(crate) mod grpc;
mod http;
#[cfg(feature = "k8s")]
mod k8s;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "memcached")]
pub(crate) mod memcached;
#[cfg(all(feature = "postgres", feature = "http"))]
mod memory;
mod migrations;
#[cfg(feature = "mysql")]
mod migrations_mysql;
#[cfg(feature = "mongodb")]
mod mongodb;
#[cfg(feature = "mysql")]
mod mysql;
mod nats;
mod postgres;
#[cfg(feature = "redis")]
mod redis;
mod secrets;
mod tls;
