//! The one integration-test crate: the real binary against real servers.
