//! Queries and responses of DNS (RFC 1035), bounded.

use std::fmt;

/// The type of the records that are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordType {
    /// Texts.
    Txt,
    /// Servers of a service (RFC 2782).
    Srv,
}

impl RecordType {
    fn code(self) -> u16 {
        match self {
            RecordType::Txt => 16,
            RecordType::Srv => 33,
        }
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RecordType::Txt => "TXT",
            RecordType::Srv => "SRV",
        })
    }
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A text, its parts joined.
    Txt(String),
    /// A server: host, without the final dot, and port.
    Srv(String, u16),
}

/// The content of a response to our question.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Records(Vec<Record>),
    /// The name does not exist.
    NoName,
    /// The name server's error.
    Refused(String),
}

/// The meaning of a packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Response {
    Whole(Outcome),
    /// Too long for a datagram.
    Cut,
    /// Not the answer to the question.
    Other,
}

const HEAD: usize = 12;
/// The most records that are read.
const MAX_RECORDS: usize = 256;
/// The longest name, in bytes (RFC 1035, section 2.3.4).
const MAX_NAME: usize = 255;
/// The most labels of a name, compressed or not.
const MAX_LABELS: usize = 128;
const INTERNET: u16 = 1;

/// Returns a query with recursion, or `None` if DNS cannot hold the name.
pub(super) fn query(number: u16, name: &str, kind: RecordType) -> Option<Vec<u8>> {
    let mut out = number.to_be_bytes().to_vec();
    // Recursion wanted; one question.
    out.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..64).contains(length))?;
        out.push(length);
        out.extend(label.as_bytes());
    }
    out.push(0);
    if out.len() > HEAD + MAX_NAME {
        return None;
    }
    out.extend(kind.code().to_be_bytes());
    out.extend(INTERNET.to_be_bytes());
    Some(out)
}

/// Reads the response to `query`, which asks for records of type `wanted`.
pub(super) fn read(query: &[u8], wanted: RecordType, packet: &[u8]) -> Response {
    let question = &query[HEAD..];
    let is_answer = packet.len() >= query.len()
        && packet[..2] == query[..2]
        && packet[2] & 0x80 != 0
        && packet[HEAD..query.len()].eq_ignore_ascii_case(question);
    if !is_answer {
        return Response::Other;
    }
    if packet[2] & 0x02 != 0 {
        return Response::Cut;
    }
    let outcome = match packet[3] & 0x0f {
        0 => records(query.len(), wanted, packet).map(Outcome::Records),
        3 => Some(Outcome::NoName),
        code => Some(Outcome::Refused(error_name(code))),
    };
    Response::Whole(outcome.unwrap_or_else(|| Outcome::Refused("garbage".to_owned())))
}

fn error_name(code: u8) -> String {
    match code {
        1 => "FORMERR".to_owned(),
        2 => "SERVFAIL".to_owned(),
        4 => "NOTIMP".to_owned(),
        5 => "REFUSED".to_owned(),
        code => format!("error {code}"),
    }
}

/// The answers of the type that was asked for. They begin at `at`, and a resolver puts aliases in
/// front of them.
fn records(mut at: usize, wanted: RecordType, packet: &[u8]) -> Option<Vec<Record>> {
    let count = usize::from(u16_at(packet, 6)?);
    let mut records = Vec::new();
    for _ in 0..count.min(MAX_RECORDS) {
        at = name_at(packet, at)?.1;
        let (kind, class) = (u16_at(packet, at)?, u16_at(packet, at + 2)?);
        let length = usize::from(u16_at(packet, at + 8)?);
        let data = packet.get(at + 10..at + 10 + length)?;
        if (kind, class) == (wanted.code(), INTERNET) {
            records.push(match wanted {
                RecordType::Txt => Record::Txt(text(data)?),
                RecordType::Srv => Record::Srv(name_at(packet, at + 16)?.0, u16_at(data, 4)?),
            });
        }
        at += 10 + length;
    }
    Some(records)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at + 2)?;
    Some(u16::from_be_bytes([bytes[0], bytes[1]]))
}

/// The parts of a text, each behind its length.
fn text(mut data: &[u8]) -> Option<String> {
    let mut text = Vec::new();
    while let Some((&length, rest)) = data.split_first() {
        let (part, after) = rest.split_at_checked(length.into())?;
        text.extend(part);
        data = after;
    }
    Some(String::from_utf8_lossy(&text).into_owned())
}

/// The name at an offset, and the offset behind it. A name may end in a pointer to an earlier one.
fn name_at(packet: &[u8], start: usize) -> Option<(String, usize)> {
    let (mut name, mut at, mut end) = (String::new(), start, None);
    for _ in 0..MAX_LABELS {
        let length = *packet.get(at)?;
        match length {
            0 => return Some((name, end.unwrap_or(at + 1))),
            0xc0.. => {
                end = end.or(Some(at + 2));
                at = usize::from(u16_at(packet, at)? & 0x3fff);
            }
            1..64 => {
                let label = packet.get(at + 1..at + 1 + usize::from(length))?;
                if !name.is_empty() {
                    name.push('.');
                }
                name.push_str(&String::from_utf8_lossy(label));
                at += 1 + usize::from(length);
            }
            _ => return None,
        }
        if name.len() > MAX_NAME {
            return None;
        }
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn answer(query: &[u8], count: u8, records: &[u8]) -> Vec<u8> {
        let mut packet = [query, records].concat();
        packet[2..4].copy_from_slice(&[0x81, 0x80]);
        packet[7] = count;
        packet
    }

    #[test]
    fn servers_and_texts_are_read_behind_an_alias() {
        let srv = query(7, "_mongodb._tcp.c.test", RecordType::Srv).unwrap();
        let alias = b"\xc0\x0c\0\x05\0\x01\0\0\0\x05\0\x02\xc0\x0c";
        let one = b"\xc0\x0c\0\x21\0\x01\0\0\0\x05\0\x0a\0\0\0\0\x69\x89\x01a\xc0\x1a";
        // The pointer leads to `c.test`, behind `_mongodb` and `_tcp`.
        let packet = answer(&srv, 2, &[&alias[..], one].concat());
        let want = Outcome::Records(vec![Record::Srv("a.c.test".to_owned(), 27017)]);
        assert_eq!(read(&srv, RecordType::Srv, &packet), Response::Whole(want));
        let txt = query(7, "c.test.", RecordType::Txt).unwrap();
        let record = b"\xc0\x0c\0\x10\0\x01\0\0\0\x05\0\x06\x02a=\x02bc";
        let want = Outcome::Records(vec![Record::Txt("a=bc".to_owned())]);
        assert_eq!(read(&txt, RecordType::Txt, &answer(&txt, 1, record)), Response::Whole(want));
        assert_eq!(
            read(&txt, RecordType::Txt, &answer(&txt, 0, b"")),
            Response::Whole(Outcome::Records(Vec::new()))
        );
    }

    #[test]
    fn a_wrong_packet_is_no_answer() {
        let txt = query(7, "c.test", RecordType::Txt).unwrap();
        let garbage = Response::Whole(Outcome::Refused("garbage".to_owned()));
        for records in [
            // A pointer to itself, a record that ends early, and a text that does.
            &b"\xc0\x18\0\x10\0\x01\0\0\0\x05\0\x02\x01a"[..],
            b"\xc0\x0c\0\x10\0\x01\0\0\0\x05\0\x09\x01a",
            b"\xc0\x0c\0\x10\0\x01\0\0\0\x05\0\x02\x09a",
            b"\xc0\x0c\0\x10",
        ] {
            assert_eq!(read(&txt, RecordType::Txt, &answer(&txt, 1, records)), garbage);
        }
        let whole = answer(&txt, 0, b"");
        let other = query(8, "c.test", RecordType::Txt).unwrap();
        assert_eq!(read(&other, RecordType::Txt, &whole), Response::Other);
        assert_eq!(read(&txt, RecordType::Txt, &txt), Response::Other, "a query is no answer");
        assert_eq!(read(&txt, RecordType::Txt, &whole[..20]), Response::Other);
        let mut cut = whole;
        cut[2] |= 2;
        assert_eq!(read(&txt, RecordType::Txt, &cut), Response::Cut);
        for name in ["", "a..b", &"a".repeat(64), &"a.".repeat(140)] {
            assert_eq!(query(1, name, RecordType::Srv), None, "{name}");
        }
    }
}
