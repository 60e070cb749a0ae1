//! The text of a failure, which few attempts of a wait ever show.

use std::{fmt, net::SocketAddr, ops::Deref, sync::OnceLock};

use crate::{
    os::REFUSED,
    text::{MAX_FOREIGN, cut_to_one_line},
};

/// A text, as a failure reports it. That of a refused connection is made when it is first read.
#[derive(Clone, Debug)]
pub struct Message {
    text: OnceLock<String>,
    /// The address in a text that is not made yet.
    refused: Option<SocketAddr>,
}

impl Message {
    /// The message of an address that refuses connections: `connection refused (10.0.0.5:22)`.
    ///
    /// A wait meets this failure most often, many times a second, and prints one text of a hundred.
    /// To make and keep each takes a third of an attempt's instructions.
    pub(super) fn refused(by: SocketAddr) -> Self {
        Self { text: OnceLock::new(), refused: Some(by) }
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        self.text.get_or_init(|| match self.refused {
            Some(address) => format!("{REFUSED} ({address})"),
            None => String::new(),
        })
    }

    /// Cuts a text that may be a server's to one harmless line.
    pub fn one_line(mut self) -> Self {
        if let Some(text) = self.text.take() {
            self.text = cut_to_one_line(text, MAX_FOREIGN).into();
        }
        self
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self { text: text.into(), refused: None }
    }
}

impl Deref for Message {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}
