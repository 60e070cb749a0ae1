//! The recipes of `examples/` and the command lines of `docs/`. The real binary reads each, and
//! runs those that can run.

pub mod bosh;
mod ci;
mod containers;
mod docs;
mod monit;
pub mod place;
mod products;
mod ready;
mod runit;
mod sockets;
mod systemd;
pub mod texts;
