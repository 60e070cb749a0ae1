//! The text of a failure, which few attempts of a wait ever show.

use std::{fmt, net::SocketAddr, ops::Deref, sync::OnceLock};

use crate::{
    os::REFUSED,
    text::{MAX_FOREIGN, cut_to_one_line},
};

/// A text, as a failure reports it.
#[derive(Clone, Debug)]
pub enum Message {
    /// The text itself.
    Text(String),
    /// The text of a refused connection, which is made when it is first read.
    Refused(Refused),
}

/// An address that refuses connections. The text about it is made when it is first read.
///
/// A wait meets this failure most often, many times a second, and prints one text of a hundred. To
/// make and keep each took a third of an attempt's instructions.
#[derive(Clone, Debug)]
pub struct Refused {
    by: SocketAddr,
    text: OnceLock<String>,
}

impl Message {
    /// The message `connection refused (ADDRESS)`.
    pub(super) fn refused(by: SocketAddr) -> Self {
        Self::Refused(Refused { by, text: OnceLock::new() })
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Refused(Refused { by, text }) => text.get_or_init(|| format!("{REFUSED} ({by})")),
        }
    }

    /// Cuts a text that may be a server's to one harmless line.
    pub fn one_line(self) -> Self {
        match self {
            Self::Text(text) => Self::Text(cut_to_one_line(text, MAX_FOREIGN)),
            Self::Refused(_) => self,
        }
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Text(text)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_reads_the_same_whenever_it_is_read() {
        let refused = Message::refused("[::1]:5432".parse().unwrap());
        let copied_before = refused.clone();
        for message in [&refused, &copied_before, &refused.clone().one_line()] {
            assert_eq!(message.as_str(), "connection refused ([::1]:5432)");
            assert_eq!(message.to_string(), "connection refused ([::1]:5432)");
        }
    }

    #[test]
    fn a_text_from_outside_is_cut_to_one_line() {
        let message = Message::from("first\nsecond\u{1b}".to_owned()).one_line();
        assert_eq!(message.as_str(), "first");
    }
}
