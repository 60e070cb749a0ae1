//! Packets of the MySQL protocol and their values: bounded, and distinguished from other protocols.
//!
//! Source: MySQL internals, "Client/Server Protocol"; MariaDB knowledge base, "Client/Server
//! Protocol".

use bytes::{Buf, BytesMut};

use crate::{
    kinds::wire::Wire,
    probe::{Class, Failure},
};

/// The longest packet of a login, in bytes. The longest is a public key.
const MAX_LOGIN: usize = 16 * 1024;
/// The longest packet of a session, in bytes: a row.
const MAX_PACKET: usize = 1 << 20;

/// A connection on which packets are numbered.
pub(super) struct Packets {
    pub(super) wire: Wire,
    /// The number of the next packet, in either direction.
    pub(super) sequence: u8,
    /// The longest packet that is read, in bytes.
    longest: usize,
}

impl Packets {
    pub(super) fn new(wire: Wire) -> Self {
        Self { wire, sequence: 0, longest: MAX_LOGIN }
    }

    /// Goes on with another stream, e.g. after a TLS handshake.
    pub(super) fn over(wire: Wire, sequence: u8) -> Self {
        Self { sequence, ..Self::new(wire) }
    }

    /// Accepts rows, after a login.
    pub(super) fn logged_in(mut self) -> Self {
        self.longest = MAX_PACKET;
        self
    }

    /// The payload of the next packet; never empty.
    ///
    /// # Errors
    /// `protocol` where the server sends no packet of this protocol, or one that is too long.
    pub(super) async fn receive(&mut self) -> Result<BytesMut, Failure> {
        self.wire.fill_to(4).await?;
        let (length, sequence) = match self.wire.received() {
            [a, b, c, sequence, ..] => {
                (usize::from(*a) | usize::from(*b) << 8 | usize::from(*c) << 16, *sequence)
            }
            _ => (0, 0),
        };
        if sequence != self.sequence || length == 0 || length > self.longest {
            return Err(self.garbage("not MySQL"));
        }
        let packet = self.wire.take(4 + length).await?;
        self.sequence = self.sequence.wrapping_add(1);
        let mut payload = packet;
        payload.advance(4);
        Ok(payload)
    }

    /// Sends one packet. The caller's payloads are far below the protocol's limit of 16 MB.
    pub(super) async fn send(&mut self, payload: &[u8]) -> Result<(), Failure> {
        let mut packet = (payload.len() as u32).to_le_bytes().to_vec();
        packet[3] = self.sequence;
        packet.extend(payload);
        self.sequence = self.sequence.wrapping_add(1);
        self.wire.send(&packet).await
    }

    /// Sends a command, which starts the numbers anew.
    pub(super) async fn command(&mut self, code: u8, text: &str) -> Result<(), Failure> {
        self.sequence = 0;
        self.send(&[&[code], text.as_bytes()].concat()).await
    }

    /// Returns the failure of a server of another protocol. It quotes the server.
    pub(super) fn garbage(&self, message: &str) -> Failure {
        self.wire.foreign(message, None)
    }

    /// Returns the failure of a packet that ends too early or is of an unexpected type.
    pub(super) fn odd(&self, message: &str) -> Failure {
        self.wire.failure(Class::Protocol, format_args!("not what MySQL sends: {message}"))
    }
}

/// Reads values from the front of a payload. Returns `None` if the payload ends too early.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn bytes(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.bytes(1).map(|bytes| bytes[0])
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.bytes(2).map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.bytes(4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes)
    }

    /// Up to a NUL, or to the end of the payload.
    pub(super) fn until_nul(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|byte| *byte == 0);
        let (text, rest) = match end {
            Some(end) => (&self.0[..end], &self.0[end + 1..]),
            None => (self.0, &[][..]),
        };
        self.0 = rest;
        text
    }

    /// A length-encoded integer.
    pub(super) fn number(&mut self) -> Option<u64> {
        let size = match self.u8()? {
            0xfc => 2,
            0xfd => 3,
            0xfe => 8,
            0xff => return None,
            small => return Some(small.into()),
        };
        let bytes = self.bytes(size)?;
        Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// A length-encoded string.
    pub(super) fn string(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.bytes(usize::try_from(length).ok()?)
    }

    /// A value of a row: a length-encoded string, or NULL.
    pub(super) fn value(&mut self) -> Option<Option<&'a [u8]>> {
        match self.0.first()? {
            0xfb => {
                self.0 = &self.0[1..];
                Some(None)
            }
            _ => self.string().map(Some),
        }
    }
}

/// Appends a length-encoded string.
pub(super) fn put_string(out: &mut Vec<u8>, text: &[u8]) {
    match u8::try_from(text.len()) {
        Ok(length) if length < 0xfb => out.push(length),
        _ => {
            out.push(0xfd);
            out.extend(&(text.len() as u32).to_le_bytes()[..3]);
        }
    }
    out.extend(text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::wire::testing::wire;

    #[tokio::test]
    async fn packets_are_numbered_and_bounded() {
        let mut packets = Packets::new(wire(b"\x01\0\0\0a\x02\0\0\x01bc"));
        assert_eq!(packets.receive().await.unwrap(), &b"a"[..]);
        assert_eq!(packets.receive().await.unwrap(), &b"bc"[..]);
        assert_eq!(packets.receive().await.unwrap_err().class, Class::Connect);
        for (bytes, says) in [
            (&b"SSH-2.0-OpenSSH_9.2\r\n"[..], "not MySQL, it says: SSH-2.0-OpenSSH_9.2 (db:1)"),
            (
                b"HTTP/1.1 400 Bad Request\r\n",
                "not MySQL, it says: HTTP/1.1 400 Bad Request (db:1)",
            ),
            (b"\0\0\0\0", "not MySQL"),
            (b"\x01\0\0\x01a", "not MySQL"),
            (b"\xff\xff\xff\0a", "not MySQL"),
        ] {
            let failure = Packets::new(wire(bytes)).receive().await.unwrap_err();
            assert_eq!(failure.class, Class::Protocol);
            assert!(failure.message.starts_with(says), "{}", failure.message);
        }
    }

    #[test]
    fn values_are_read_and_never_past_the_end() {
        let mut fields = Fields(b"\x07\x01\x02ab\0\x03abc\xfb\xfc\x02\x01\xfd\x01\0\0\xff");
        assert_eq!((fields.u8(), fields.u16()), (Some(7), Some(0x201)));
        assert_eq!(fields.until_nul(), b"ab");
        assert_eq!(fields.value(), Some(Some(&b"abc"[..])));
        assert_eq!(fields.value(), Some(None));
        assert_eq!((fields.number(), fields.number()), (Some(0x102), Some(1)));
        assert_eq!(fields.number(), None);
        assert_eq!(Fields(b"\x05abc").string(), None);
        assert_eq!(Fields(b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff").string(), None);
        assert_eq!(Fields(b"abc").u32(), None);
        let mut out = Vec::new();
        put_string(&mut out, &[7; 300]);
        assert_eq!(Fields(&out).string(), Some(&[7; 300][..]));
    }
}
