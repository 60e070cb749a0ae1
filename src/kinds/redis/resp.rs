//! RESP2, the protocol of Redis: replies of bounded size, and commands.
//!
//! Source: <https://redis.io/docs/latest/develop/reference/protocol-spec/>.

use crate::{kinds::wire::Wire, probe::Failure, text::lossy};

/// The longest line, in bytes. The longest one of a server is the 2 KB of its protected mode.
const MAX_LINE: usize = 64 * 1024;
/// The longest string, in bytes. INFO is the longest reply that is asked for.
const MAX_STRING: usize = 1 << 20;
/// The most elements of one reply, those of inner arrays included.
const MAX_ELEMENTS: usize = 8 * 1024;
/// The most bytes of the strings of one reply.
const MAX_REPLY: usize = 4 << 20;
/// The deepest array in an array.
const MAX_DEPTH: usize = 8;

/// A server's reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// `+OK`
    Status(String),
    /// `-ERR text`, without the `-`.
    Error(String),
    /// `:1`
    Integer(i64),
    /// `$5`, or `None` if there is no value.
    Text(Option<String>),
    /// `*2`, or `None` if there is no value.
    Array(Option<Vec<Reply>>),
}

/// Appends one command to `out`.
pub(super) fn command(out: &mut Vec<u8>, words: &[&str]) {
    out.extend(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        out.extend(format!("${}\r\n", word.len()).as_bytes());
        out.extend(word.as_bytes());
        out.extend(b"\r\n");
    }
}

/// The first line of a reply.
enum Head {
    Whole(Reply),
    /// A string of so many bytes follows.
    Text(usize),
    /// So many replies follow.
    Array(usize),
}

/// An array that is still incomplete.
struct Unfinished {
    length: usize,
    elements: Vec<Reply>,
}

/// Reads one reply.
///
/// # Errors
/// `protocol` if the server sends anything else, or more than the limits above.
pub(super) async fn read(wire: &mut Wire) -> Result<Reply, Failure> {
    let (mut elements, mut bytes) = (0, 0);
    let mut open: Vec<Unfinished> = Vec::new();
    loop {
        let mut reply = match read_head(wire).await? {
            Head::Whole(reply) => reply,
            Head::Text(length) => {
                bytes += length;
                if length > MAX_STRING || bytes > MAX_REPLY {
                    return Err(not_redis(wire, "sends a reply that is too long for Redis"));
                }
                let text = wire.take(length + 2).await?;
                Reply::Text(Some(lossy(&text[..length])))
            }
            Head::Array(0) => Reply::Array(Some(Vec::new())),
            Head::Array(length) => {
                elements += length;
                if elements > MAX_ELEMENTS || open.len() >= MAX_DEPTH {
                    return Err(not_redis(wire, "sends a reply that is too long for Redis"));
                }
                open.push(Unfinished { length, elements: Vec::new() });
                continue;
            }
        };
        // A reply may be the last element of an array, and that of the array around it.
        loop {
            let Some(array) = open.last_mut() else { return Ok(reply) };
            array.elements.push(reply);
            if array.elements.len() < array.length {
                break;
            }
            reply = Reply::Array(open.pop().map(|array| array.elements));
        }
    }
}

async fn read_head(wire: &mut Wire) -> Result<Head, Failure> {
    wire.fill_to(1).await?;
    // Other protocols are reported without waiting for the end of their line.
    if !b"+-:$*".contains(&wire.received()[0]) {
        return Err(not_redis(wire, "not Redis"));
    }
    let Some(line) = wire.line(MAX_LINE).await? else {
        return Err(not_redis(wire, "sends a line that is too long for Redis"));
    };
    let text = lossy(&line[1..]);
    let length = || match text.parse::<i64>() {
        Ok(-1) => Some(None),
        Ok(length) => usize::try_from(length).ok().map(Some),
        Err(_) => None,
    };
    let head = match line[0] {
        b'+' => Some(Head::Whole(Reply::Status(text))),
        b'-' => Some(Head::Whole(Reply::Error(text))),
        b':' => text.parse().ok().map(|number| Head::Whole(Reply::Integer(number))),
        b'$' => length().map(|length| length.map_or(Head::Whole(Reply::Text(None)), Head::Text)),
        _ => length().map(|length| length.map_or(Head::Whole(Reply::Array(None)), Head::Array)),
    };
    head.ok_or_else(|| not_redis(wire, "not Redis: a length that is not a number"))
}

fn not_redis(wire: &Wire, message: &str) -> Failure {
    wire.foreign(message, Some("use the scheme rediss:"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::wire::testing::wire;
    use crate::probe::Class;

    async fn reply(bytes: &str) -> Result<Reply, (Class, String)> {
        let read = read(&mut wire(bytes.as_bytes())).await;
        read.map_err(|failure| (failure.class, failure.message.to_string()))
    }

    #[test]
    fn a_command_is_an_array_of_strings() {
        let mut out = Vec::new();
        command(&mut out, &["AUTH", "p\r\nw"]);
        assert_eq!(String::from_utf8(out).unwrap(), "*2\r\n$4\r\nAUTH\r\n$4\r\np\r\nw\r\n");
    }

    #[tokio::test]
    async fn every_form_of_reply_is_read() {
        let text = |text: &str| Reply::Text(Some(text.to_owned()));
        for (bytes, want) in [
            ("+PONG\r\n", Reply::Status("PONG".to_owned())),
            ("-ERR no\r\n", Reply::Error("ERR no".to_owned())),
            (":-3\r\n", Reply::Integer(-3)),
            ("$4\r\na\r\nb\r\n", text("a\r\nb")),
            ("$0\r\n\r\n", text("")),
            ("$-1\r\n", Reply::Text(None)),
            ("*-1\r\n", Reply::Array(None)),
            ("*0\r\n", Reply::Array(Some(vec![]))),
            (
                "*2\r\n*2\r\n:1\r\n*0\r\n$1\r\na\r\n",
                Reply::Array(Some(vec![
                    Reply::Array(Some(vec![Reply::Integer(1), Reply::Array(Some(vec![]))])),
                    text("a"),
                ])),
            ),
        ] {
            assert_eq!(reply(bytes).await, Ok(want), "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn a_reply_that_no_redis_sends_is_refused() {
        let deep = "*1\r\n".repeat(MAX_DEPTH + 1);
        let long = format!("+{}", "x".repeat(MAX_LINE + 1));
        for (bytes, says) in [
            (
                "HTTP/1.1 400 Bad Request\r\n\r\n",
                "not Redis, it says: HTTP/1.1 400 Bad Request (db:1)",
            ),
            ("$x\r\n", "not Redis: a length that is not a number (db:1)"),
            ("$-2\r\n", "not Redis: a length that is not a number (db:1)"),
            ("$9999999\r\n", "sends a reply that is too long for Redis (db:1)"),
            ("*99999999\r\n", "sends a reply that is too long for Redis (db:1)"),
            (&deep, "sends a reply that is too long for Redis (db:1)"),
        ] {
            assert_eq!(reply(bytes).await, Err((Class::Protocol, says.to_owned())), "{bytes:?}");
        }
        let (class, message) = reply(&long).await.unwrap_err();
        assert_eq!(class, Class::Protocol);
        assert!(message.starts_with("sends a line that is too long for Redis"), "{message}");
        assert_eq!(reply("*2\r\n:1\r\n").await.unwrap_err().0, Class::Connect);
    }
}
