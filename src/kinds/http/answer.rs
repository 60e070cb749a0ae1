//! A response, as far as it was read.

use hyper::{HeaderMap, StatusCode};

/// A response.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// There is more of the body than was read.
    pub(super) cut: bool,
}
