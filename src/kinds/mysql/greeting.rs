//! The server's greeting, which it sends first.

use super::packet::Fields;
use crate::text::one_line;

/// Capability flags (MySQL source, `mysql_com.h`).
pub(super) mod capability {
    pub(in super::super) const LONG_PASSWORD: u32 = 1;
    pub(in super::super) const CONNECT_WITH_DB: u32 = 8;
    pub(in super::super) const PROTOCOL_41: u32 = 0x200;
    pub(in super::super) const SSL: u32 = 0x800;
    pub(in super::super) const TRANSACTIONS: u32 = 0x2000;
    pub(in super::super) const SECURE_CONNECTION: u32 = 0x8000;
    pub(in super::super) const PLUGIN_AUTH: u32 = 0x8_0000;
    pub(in super::super) const LENENC_AUTH: u32 = 0x20_0000;
    pub(in super::super) const DEPRECATE_EOF: u32 = 0x100_0000;
}

/// A server's description of itself, sent before the login.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Greeting {
    /// Name and version, e.g. `MariaDB 10.11.19`, `MySQL 8.0.36`.
    pub(super) product: String,
    pub(super) is_mariadb: bool,
    pub(super) capabilities: u32,
    /// The random bytes that the password is mixed with.
    pub(super) nonce: Vec<u8>,
    /// The plugin that authenticates the server's usual user.
    pub(super) plugin: String,
}

impl Greeting {
    /// Reads the payload of the first packet. Returns `None` if it is not a greeting of protocol
    /// version 10.
    pub(super) fn parse(payload: &[u8]) -> Option<Self> {
        let mut fields = Fields(payload);
        if fields.u8()? != 10 {
            return None;
        }
        let version = String::from_utf8_lossy(fields.until_nul()).into_owned();
        fields.u32()?; // The connection's number.
        let mut nonce = fields.bytes(8)?.to_vec();
        fields.u8()?;
        let mut capabilities = u32::from(fields.u16()?);
        let mut plugin = "mysql_native_password".to_owned();
        // Old servers end here.
        if !fields.0.is_empty() {
            fields.bytes(3)?; // Character set and status.
            capabilities |= u32::from(fields.u16()?) << 16;
            let length = usize::from(fields.u8()?);
            fields.bytes(10)?;
            let more = fields.bytes(length.saturating_sub(8).max(13).min(fields.0.len()))?;
            nonce.extend(more.strip_suffix(b"\0").unwrap_or(more));
            let named = String::from_utf8_lossy(fields.until_nul()).into_owned();
            if capabilities & capability::PLUGIN_AUTH != 0 && !named.is_empty() {
                plugin = named;
            }
        }
        let is_mariadb = version.contains("MariaDB");
        Some(Self { product: product(&version), is_mariadb, capabilities, nonce, plugin })
    }

    pub(super) fn has(&self, capability: u32) -> bool {
        self.capabilities & capability != 0
    }
}

/// MariaDB hides behind the version `5.5.5` for the sake of old replicas.
fn product(version: &str) -> String {
    let short = |version: &str| one_line(version.split('-').next().unwrap_or_default(), 40);
    if version.contains("MariaDB") {
        format!("MariaDB {}", short(version.strip_prefix("5.5.5-").unwrap_or(version)))
    } else {
        format!("MySQL {}", short(version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greetings_of_both_families_are_read() {
        // MariaDB 10.11.19, as its server sends it.
        let mut packet = b"\x0a5.5.5-10.11.19-MariaDB-0+deb12u1\0\x07\0\0\0abcdefgh\0".to_vec();
        packet.extend(b"\xfe\xf7\x2d\x02\0\xff\x81\x15\0\0\0\0\0\0\x1d\0\0\0");
        packet.extend(b"ijklmnopqrst\0mysql_native_password\0");
        let greeting = Greeting::parse(&packet).unwrap();
        assert_eq!(greeting.product, "MariaDB 10.11.19");
        assert!(greeting.is_mariadb && !greeting.has(capability::SSL));
        assert_eq!(greeting.nonce, b"abcdefghijklmnopqrst");
        assert_eq!(greeting.plugin, "mysql_native_password");
        let mut packet = b"\x0a8.0.36\0\x07\0\0\0abcdefgh\0\xff\xff\xff\x02\0\xff\xdf\x15".to_vec();
        packet.extend(b"\0\0\0\0\0\0\0\0\0\0ijklmnopqrst\0caching_sha2_password\0");
        let greeting = Greeting::parse(&packet).unwrap();
        assert_eq!((greeting.product.as_str(), greeting.is_mariadb), ("MySQL 8.0.36", false));
        assert!(greeting.has(capability::SSL | capability::PLUGIN_AUTH));
        assert_eq!(greeting.plugin, "caching_sha2_password");
        assert_eq!(product("8.0\u{19}.36-x"), "MySQL 8.0\u{fffd}.36");
        for cut in 0..packet.len() {
            // No part of a greeting makes it panic.
            let _ = Greeting::parse(&packet[..cut]);
        }
        assert_eq!(Greeting::parse(b"\x09old\0"), None);
    }
}
