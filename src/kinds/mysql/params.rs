//! The parameters of a connection string, in any driver's form.

use crate::{secret::Secret, spec::Server as Named, tls::TlsFiles};

/// MySQL's ssl-mode (MySQL manual, "Command Options for Encrypted Connections"), the strict ones
/// last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mode {
    /// Never TLS.
    Disabled,
    /// TLS where the server has it; its certificate is not verified.
    Preferred,
    /// TLS; the certificate is not verified.
    Required,
    /// TLS, and the certificate's chain is verified.
    VerifyCa,
    /// TLS, and the certificate's chain and name are verified.
    VerifyIdentity,
}

impl Mode {
    pub(super) const WORDS: [(&'static str, Mode); 5] = [
        ("DISABLED", Mode::Disabled),
        ("PREFERRED", Mode::Preferred),
        ("REQUIRED", Mode::Required),
        ("VERIFY_CA", Mode::VerifyCa),
        ("VERIFY_IDENTITY", Mode::VerifyIdentity),
    ];

    /// MySQL's word for it.
    pub(super) fn word(self) -> &'static str {
        Self::WORDS[self as usize].0
    }

    /// The mode that a driver calls `word`, in lower case. MariaDB's drivers have words of their
    /// own.
    pub(super) fn named(word: &str) -> Option<Self> {
        match word {
            "disable" | "none" => Some(Self::Disabled),
            "prefer" => Some(Self::Preferred),
            "trust" | "require" => Some(Self::Required),
            "verifyca" => Some(Self::VerifyCa),
            "verify_full" | "verifyfull" => Some(Self::VerifyIdentity),
            word => {
                let known = Self::WORDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
                known.map(|(_, mode)| *mode)
            }
        }
    }
}

/// The parameters of a connection string.
#[derive(Default)]
pub(super) struct Params {
    pub(super) servers: Vec<Named>,
    pub(super) socket: Option<String>,
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) database: Option<String>,
    pub(super) mode: Option<Mode>,
    pub(super) files: TlsFiles,
    pub(super) migrations_table: Option<String>,
}

impl Params {
    /// Raises the mode to `mode`, in any order of the options.
    pub(super) fn at_least(&mut self, mode: Mode) {
        self.mode = Some(self.mode.map_or(mode, |now| now.max(mode)));
    }
}
