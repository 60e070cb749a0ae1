//! Requests and responses of Kafka's protocol, bounded.
//!
//! Source: <https://kafka.apache.org/protocol>. Only versions without tagged fields are used.

use bytes::{Buf, BytesMut};

use crate::{
    kinds::wire::Wire,
    probe::{Class, Failure},
};

/// The longest response that is read, in bytes. It holds the metadata of some 50,000 partitions.
const MAX_RESPONSE: usize = 2 << 20;

/// The kind of a request, as the protocol numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Api {
    Metadata = 3,
    SaslHandshake = 17,
    /// `ApiVersions`.
    Versions = 18,
    SaslAuthenticate = 36,
}

/// The arguments of a request that is to be sent.
#[derive(Default)]
pub(super) struct Arguments(Vec<u8>);

impl Arguments {
    pub(super) fn bool(mut self, value: bool) -> Self {
        self.0.push(value.into());
        self
    }

    pub(super) fn i32(mut self, value: i32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    /// At most 32,767 bytes, which the caller has proved.
    pub(super) fn text(mut self, text: &str) -> Self {
        self.0.extend((text.len() as i16).to_be_bytes());
        self.0.extend(text.as_bytes());
        self
    }

    pub(super) fn bytes(self, bytes: &[u8]) -> Self {
        let mut longer = self.i32(bytes.len() as i32);
        longer.0.extend(bytes);
        longer
    }

    /// Appends the whole request to `out`.
    pub(super) fn put(self, out: &mut Vec<u8>, api: Api, version: i16, correlation: i32) {
        let mut head = Vec::new();
        head.extend((api as i16).to_be_bytes());
        head.extend(version.to_be_bytes());
        head.extend(correlation.to_be_bytes());
        let head = Arguments(head).text("afterall");
        out.extend(((head.0.len() + self.0.len()) as u32).to_be_bytes());
        out.extend(head.0);
        out.extend(self.0);
    }
}

/// Reads the body of the response to the request `correlation`.
pub(super) async fn receive(wire: &mut Wire, correlation: i32) -> Result<BytesMut, Failure> {
    let mut response = receive_bare(wire).await?;
    if response.len() < 4 || response.get_i32() != correlation {
        return Err(odd(wire, "a response that was not asked for"));
    }
    Ok(response)
}

/// Reads a number of bytes, and so many bytes.
pub(super) async fn receive_bare(wire: &mut Wire) -> Result<BytesMut, Failure> {
    wire.fill_to(4).await?;
    let head = wire.received();
    let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
    if length > MAX_RESPONSE {
        return Err(not_kafka(wire));
    }
    let mut response = wire.take(4 + length).await?;
    response.advance(4);
    Ok(response)
}

fn not_kafka(wire: &Wire) -> Failure {
    wire.foreign("not Kafka", Some("use the scheme kafkas:"))
}

/// Returns the failure of a response that the protocol does not allow.
pub(super) fn odd(wire: &Wire, message: &str) -> Failure {
    wire.failure(Class::Protocol, format_args!("not what Kafka sends: {message}"))
}

/// Reads values from the front of a response. Returns `None` if it ends too early.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn bool(&mut self) -> Option<bool> {
        self.take(1).map(|bytes| bytes[0] != 0)
    }

    pub(super) fn i16(&mut self) -> Option<i16> {
        self.take(2).map(|bytes| i16::from_be_bytes([bytes[0], bytes[1]]))
    }

    pub(super) fn i32(&mut self) -> Option<i32> {
        self.take(4).and_then(|bytes| bytes.try_into().ok()).map(i32::from_be_bytes)
    }

    /// A text; one that is null counts as empty.
    pub(super) fn text(&mut self) -> Option<&'a [u8]> {
        match self.i16()? {
            -1 => Some(&[]),
            length => self.take(usize::try_from(length).ok()?),
        }
    }

    /// Bytes; those that are null count as empty.
    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        match self.i32()? {
            -1 => Some(&[]),
            length => self.take(usize::try_from(length).ok()?),
        }
    }

    /// The length of an array; one that is null counts as empty.
    pub(super) fn count(&mut self) -> Option<usize> {
        match self.i32()? {
            -1 => Some(0),
            length => usize::try_from(length).ok(),
        }
    }

    /// Skips an array of 32-bit numbers.
    pub(super) fn skip_numbers(&mut self) -> Option<()> {
        let count = self.count()?;
        self.take(count.checked_mul(4)?).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::wire::testing::wire;

    #[test]
    fn a_request_has_its_length_and_head_in_front() {
        let mut out = Vec::new();
        Arguments::default().i32(0).bool(false).put(&mut out, Api::Metadata, 4, 7);
        assert_eq!(out, b"\0\0\0\x17\0\x03\0\x04\0\0\0\x07\0\x08afterall\0\0\0\0\0");
    }

    #[tokio::test]
    async fn a_response_is_bounded_and_answers_its_request() {
        for (bytes, want) in [
            (&b"\0\0\0\x06\0\0\0\x07ab"[..], "ab"),
            (b"\0\0\0\x06\0\0\0\x08ab", "a response that was not asked for"),
            (b"\0\0\0\x02ab", "a response that was not asked for"),
            (b"HTTP/1.1 400 Bad Request\r\n", "not Kafka, it says: HTTP/1.1 400 Bad Request"),
            (b"\x15\x03\x03\0\x02\x02\x50", "not Kafka"),
            (b"\0\0\0\x06\0\0", "connection closed by the server"),
        ] {
            let said = match receive(&mut wire(bytes), 7).await {
                Ok(body) => String::from_utf8_lossy(&body).into_owned(),
                Err(failure) => failure.message.to_string(),
            };
            assert!(said.contains(want), "{said}");
        }
    }

    #[test]
    fn fields_end_with_their_response() {
        let mut fields = Fields(b"\0\x02ab\xff\xff\0\0\0\x01\0\0\0\x09\xff\xff\xff\xff\x01");
        assert_eq!((fields.text(), fields.text()), (Some(&b"ab"[..]), Some(&b""[..])));
        assert_eq!((fields.skip_numbers(), fields.count()), (Some(()), Some(0)));
        assert_eq!((fields.bool(), fields.bool(), fields.i16()), (Some(true), None, None));
        assert_eq!(Fields(b"\x7f\xff\xff\xffab").bytes(), None);
        assert_eq!(Fields(b"\x7f\xff\xff\xffab").skip_numbers(), None);
    }
}
