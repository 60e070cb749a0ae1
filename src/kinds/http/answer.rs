//! A response, and the part of its body that was read.

use hyper::{HeaderMap, StatusCode};

/// A response.
pub(in crate::kinds) struct Answer {
    pub(in crate::kinds) status: StatusCode,
    pub(in crate::kinds) headers: HeaderMap,
    pub(in crate::kinds) body: Vec<u8>,
    /// True if the body is longer than the part that was read.
    pub(in crate::kinds) cut: bool,
}
