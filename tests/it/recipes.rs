//! The recipes of `examples/` and the command lines of `docs/`: each is read by the real binary,
//! and run where that can be.

pub mod bosh;
mod ci;
mod containers;
mod docs;
mod monit;
pub mod place;
mod ready;
mod runit;
mod sockets;
mod systemd;
pub mod texts;
