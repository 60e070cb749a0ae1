//! Frames of AMQP 0-9-1 and the values in them, bounded.
//!
//! Source: AMQP 0-9-1 specification, sections 2.3 and 4.2; RabbitMQ's errata for the types of table
//! fields.

use bytes::{Buf, BytesMut};

use crate::{
    kinds::wire::Wire,
    probe::{Class, Failure},
};

/// The longest frame that is skipped, in bytes: RabbitMQ's usual maximum.
const MAX_FRAME: usize = 128 * 1024;
/// The longest frame of a method, in bytes. Before Tune nothing longer than 4,096 is allowed, and
/// later methods are shorter.
const MAX_METHOD: usize = 16 * 1024;
/// The most frames that are skipped while an answer is awaited.
const MAX_SKIPPED: usize = 1000;

const METHOD: u8 = 1;
const END: u8 = 0xce;

/// Class and method, as the specification numbers them.
pub(super) type Method = (u16, u16);

/// A method that the server sent, and its arguments.
pub(super) struct Received {
    pub(super) method: Method,
    arguments: BytesMut,
}

impl Received {
    pub(super) fn arguments(&self) -> Fields<'_> {
        Fields(&self.arguments)
    }
}

/// Reads the next method; heartbeats and frames of content are skipped.
pub(super) async fn receive(wire: &mut Wire) -> Result<Received, Failure> {
    for _ in 0..MAX_SKIPPED {
        wire.fill_to(7).await?;
        let head = wire.received();
        // A server of another version answers with its own header, and closes.
        if head.starts_with(b"AMQP") {
            wire.fill_to(8).await?;
            let version = &wire.received()[4..8];
            let message = match version {
                [0 | 2 | 3, 1, 0, 0] => "the server speaks AMQP 1.0, not 0-9-1".to_owned(),
                version => format!("the server speaks another AMQP than 0-9-1 ({version:?})"),
            };
            return Err(wire.failure(Class::Protocol, message));
        }
        // Bytes 1 and 2 are the channel. Only one is open besides the connection's own.
        let kind = head[0];
        let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
        let longest = if kind == METHOD { MAX_METHOD } else { MAX_FRAME };
        if !matches!(kind, 1..=3 | 8) || size > longest {
            return Err(not_amqp(wire));
        }
        let mut frame = wire.take(7 + size + 1).await?;
        if frame[7 + size] != END {
            return Err(not_amqp(wire));
        }
        frame.advance(7);
        frame.truncate(size);
        if kind != METHOD {
            continue;
        }
        if size < 4 {
            return Err(not_amqp(wire));
        }
        let method = (frame.get_u16(), frame.get_u16());
        return Ok(Received { method, arguments: frame });
    }
    Err(not_amqp(wire))
}

fn not_amqp(wire: &Wire) -> Failure {
    wire.foreign("not AMQP", Some("use the scheme amqps:"))
}

/// Reads values from the front of a method's arguments. Returns `None` if they end too early.
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.bytes(1).map(|bytes| bytes[0])
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.bytes(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.bytes(4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes)
    }

    pub(super) fn short_text(&mut self) -> Option<String> {
        let length = usize::from(self.u8()?);
        self.bytes(length).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    pub(super) fn long(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()?;
        self.bytes(usize::try_from(length).ok()?)
    }

    /// The value of a text field of a table.
    pub(super) fn table_text(table: &'a [u8], wanted: &str) -> Option<String> {
        let mut fields = Fields(table);
        loop {
            let name = fields.short_text()?;
            // Values of other names are skipped.
            match fields.u8()? {
                b't' | b'b' | b'B' => fields.bytes(1)?,
                b's' | b'u' | b'U' => fields.bytes(2)?,
                b'i' | b'I' | b'f' => fields.bytes(4)?,
                b'D' => fields.bytes(5)?,
                b'l' | b'L' | b'd' | b'T' => fields.bytes(8)?,
                b'S' if name == wanted => {
                    return fields.long().map(|text| String::from_utf8_lossy(text).into_owned());
                }
                b'S' | b'x' | b'A' | b'F' => fields.long()?,
                b'V' => &[],
                _ => return None,
            };
        }
    }
}

/// The arguments of a method that is to be sent.
#[derive(Default)]
pub(super) struct Arguments(Vec<u8>);

impl Arguments {
    pub(super) fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    pub(super) fn u16(mut self, value: u16) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(super) fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    /// At most 255 bytes, which the caller has proved.
    pub(super) fn short_text(mut self, text: &str) -> Self {
        let text = &text.as_bytes()[..text.len().min(255)];
        self.0.push(text.len() as u8);
        self.0.extend(text);
        self
    }

    pub(super) fn long(mut self, bytes: &[u8]) -> Self {
        self.0.extend((bytes.len() as u32).to_be_bytes());
        self.0.extend(bytes);
        self
    }

    /// Appends the method's frame to `out`.
    pub(super) fn put(self, out: &mut Vec<u8>, channel: u16, (class, method): Method) {
        out.push(METHOD);
        out.extend(channel.to_be_bytes());
        out.extend((self.0.len() as u32 + 4).to_be_bytes());
        out.extend(class.to_be_bytes());
        out.extend(method.to_be_bytes());
        out.extend(self.0);
        out.push(END);
    }

    /// The bytes alone, for a table in a table.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::wire::testing::wire;

    #[tokio::test]
    async fn methods_are_read_and_heartbeats_are_skipped() {
        let mut bytes = b"\x08\0\0\0\0\0\0\xce".to_vec();
        Arguments::default().u16(7).short_text("ab").long(b"cd").put(&mut bytes, 1, (50, 11));
        let received = receive(&mut wire(&bytes)).await.unwrap();
        assert_eq!(received.method, (50, 11));
        let mut fields = received.arguments();
        assert_eq!((fields.u16(), fields.short_text()), (Some(7), Some("ab".to_owned())));
        assert_eq!((fields.long(), fields.u8()), (Some(&b"cd"[..]), None));
    }

    #[tokio::test]
    async fn what_is_no_amqp_is_named() {
        for (bytes, says) in [
            (&b"HTTP/1.1 400 Bad Request\r\n"[..], "not AMQP, it says: HTTP/1.1 400 Bad Request"),
            (b"AMQP\x03\x01\0\0", "the server speaks AMQP 1.0"),
            (b"AMQP\0\0\x09\x02", "the server speaks another AMQP"),
            (b"\x01\0\0\xff\xff\xff\xff\0", "not AMQP"),
            (b"\x01\0\0\0\0\0\x01\0\0", "not AMQP"),
            (b"\x01\0\0\0\0\0\x01\0\xce", "not AMQP"),
        ] {
            let failure = receive(&mut wire(bytes)).await.err().unwrap();
            assert_eq!(failure.class, Class::Protocol, "{bytes:?}");
            assert!(failure.message.starts_with(says), "{}", failure.message);
        }
    }

    #[test]
    fn a_text_is_found_in_a_table() {
        let table = Arguments::default().short_text("a").u8(b't').u8(1);
        let table =
            table.short_text("c").u8(b'F').long(b"xyz").short_text("v").u8(b'S').long(b"3.10");
        let table = table.into_bytes();
        assert_eq!(Fields::table_text(&table, "v").as_deref(), Some("3.10"));
        assert_eq!(Fields::table_text(&table, "w"), None);
        assert_eq!(Fields::table_text(&table[..9], "v"), None);
    }
}
