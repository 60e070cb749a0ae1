//! A response, and the part of its body that was read.

use hyper::{HeaderMap, StatusCode};

/// A response.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// True if the body is longer than the part that was read.
    pub(super) cut: bool,
}
