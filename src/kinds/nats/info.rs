//! INFO: a server's description of itself.

use serde_json::Value;

/// The parts of INFO that matter here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Info {
    pub(super) version: String,
    pub(super) tls_required: bool,
    pub(super) tls_available: bool,
    pub(super) jetstream: bool,
    /// The server is in lame duck mode (`ldm`): it is about to shut down and accepts no new
    /// clients.
    pub(super) lame_duck: bool,
    pub(super) nonce: Option<String>,
}

impl Info {
    /// Reads the JSON behind `INFO`.
    pub(super) fn parse(json: &str) -> Option<Self> {
        let info: Value = serde_json::from_str(json).ok().filter(Value::is_object)?;
        let text = |key: &str| info[key].as_str().map(str::to_owned);
        let flag = |key: &str| info[key].as_bool().unwrap_or_default();
        Some(Self {
            version: text("version").unwrap_or_default(),
            tls_required: flag("tls_required"),
            tls_available: flag("tls_available"),
            jetstream: flag("jetstream"),
            lame_duck: flag("ldm"),
            nonce: text("nonce").filter(|nonce| !nonce.is_empty()),
        })
    }
}
