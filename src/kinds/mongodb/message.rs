//! One command and its reply, by OP_MSG.
//!
//! Source: <https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/>.

use bytes::{Buf, BytesMut};

use super::bson::{Builder, Document};
use crate::{
    kinds::wire::Wire,
    probe::{Class, Failure},
};

/// The longest reply that is read, in bytes. That to `hello` has some kilobytes; a list of
/// databases may be longer, if a server ignores the filter.
const MAX_REPLY: usize = 1 << 20;

const HEAD: usize = 16;
const OP_REPLY: i32 = 1;
const OP_MSG: i32 = 2013;

/// A reply that holds one document.
pub(super) struct Reply(BytesMut);

impl Reply {
    pub(super) fn document(&self) -> Document<'_> {
        Document::read(&self.0).unwrap_or_default()
    }
}

/// Sends `command` to the database `database`, and reads the reply.
pub(super) async fn ask(
    wire: &mut Wire,
    command: Builder,
    database: &str,
) -> Result<Reply, Failure> {
    let body = command.text("$db", database).finish();
    let mut out = Vec::new();
    // Length, number of the request, number of the answered one, code; flags, kind of the section.
    for number in [(HEAD + 5 + body.len()) as i32, 1, 0, OP_MSG, 0] {
        out.extend(number.to_le_bytes());
    }
    out.push(0);
    out.extend(body);
    wire.send(&out).await?;
    receive(wire).await
}

async fn receive(wire: &mut Wire) -> Result<Reply, Failure> {
    wire.fill_to(HEAD).await?;
    let head = wire.received();
    let length = usize::try_from(number(head, 0)).unwrap_or_default();
    let code = number(head, 12);
    // The bytes in front of the document.
    let skipped = match code {
        OP_MSG => HEAD + 5,
        OP_REPLY => HEAD + 20,
        _ => return Err(not_mongodb(wire)),
    };
    if !(skipped..=MAX_REPLY).contains(&length) {
        return Err(not_mongodb(wire));
    }
    let mut reply = wire.take(length).await?;
    reply.advance(skipped);
    match Document::read(&reply) {
        Some(_) => Ok(Reply(reply)),
        None => Err(odd(wire, "a reply without a document")),
    }
}

/// The number at an offset of the head, which has been read.
fn number(head: &[u8], at: usize) -> i32 {
    i32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]])
}

fn not_mongodb(wire: &Wire) -> Failure {
    wire.foreign("not MongoDB", Some("tls=true is missing"))
}

/// Returns the failure of a reply that the protocol does not allow.
pub(super) fn odd(wire: &Wire, message: &str) -> Failure {
    wire.failure(Class::Protocol, format_args!("not what MongoDB sends: {message}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::wire::testing::wire;

    #[tokio::test]
    async fn a_reply_is_bounded_and_holds_a_document() {
        let head = |length: i32, code: i32| {
            [length, 7, 1, code].iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<_>>()
        };
        let document = Builder::default().i32("ok", 1).finish();
        let message = [head(34, OP_MSG), vec![0; 5], document.clone()].concat();
        let reply = [head(49, OP_REPLY), vec![0; 20], document].concat();
        for (bytes, want) in [
            (message, "ok"),
            (reply, "ok"),
            (head((1 << 20) + 1, OP_MSG), "not MongoDB"),
            (head(-1, OP_MSG), "not MongoDB"),
            (head(20, OP_MSG), "not MongoDB"),
            ([head(26, OP_MSG), vec![0; 10]].concat(), "a reply without a document"),
            (b"HTTP/1.1 400 Bad Request\r\n".to_vec(), "it says: HTTP/1.1 400 Bad Request"),
        ] {
            let said = match receive(&mut wire(&bytes)).await {
                Ok(reply) if reply.document().is_true("ok") => "ok".to_owned(),
                Ok(_) => "another document".to_owned(),
                Err(failure) => failure.message.to_string(),
            };
            assert!(said.contains(want), "{said}");
        }
    }
}
