//! BSON, as far as commands and replies need it.
//!
//! Source: <https://bsonspec.org/spec.html>.

/// The most elements that are read of one document; a reply to `hello` has some thirty. A reply is
/// searched for a dozen names, which together must take less than a millisecond.
const MAX_ELEMENTS: usize = 512;
/// The longest name of an element, in bytes. A document ends before a longer one.
const MAX_NAME: usize = 128;
/// The longest text that is read, in bytes.
const MAX_TEXT: usize = 16 * 1024;

/// A document that is to be sent.
#[derive(Default)]
pub(super) struct Builder(Vec<u8>);

impl Builder {
    fn element(mut self, kind: u8, name: &str, value: &[u8]) -> Self {
        self.0.push(kind);
        self.0.extend(name.as_bytes());
        self.0.push(0);
        self.0.extend(value);
        self
    }

    pub(super) fn i32(self, name: &str, value: i32) -> Self {
        self.element(0x10, name, &value.to_le_bytes())
    }

    pub(super) fn bool(self, name: &str, value: bool) -> Self {
        self.element(0x08, name, &[value.into()])
    }

    pub(super) fn text(self, name: &str, value: &str) -> Self {
        let length = (value.len() as i32 + 1).to_le_bytes();
        self.element(0x02, name, &[&length, value.as_bytes(), b"\0"].concat())
    }

    pub(super) fn binary(self, name: &str, value: &[u8]) -> Self {
        let length = (value.len() as i32).to_le_bytes();
        self.element(0x05, name, &[&length, &b"\0"[..], value].concat())
    }

    pub(super) fn document(self, name: &str, value: Builder) -> Self {
        self.element(0x03, name, &value.finish())
    }

    /// The whole document.
    pub(super) fn finish(self) -> Vec<u8> {
        let length = (self.0.len() as i32 + 5).to_le_bytes();
        [&length, self.0.as_slice(), b"\0"].concat()
    }
}

/// A value of a document; types that no reply needs are not distinguished.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Number(f64),
    Text(&'a str),
    Document(Document<'a>),
    Binary(&'a [u8]),
    Bool(bool),
    Other,
}

/// The elements of a document or an array.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Document<'a>(&'a [u8]);

impl<'a> Document<'a> {
    /// Returns the document at the front of `bytes`, or `None` if its length is wrong.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let length = usize::try_from(number(bytes)?).ok()?;
        let elements = bytes.get(4..length.checked_sub(1)?)?;
        (bytes.get(length - 1) == Some(&0)).then_some(Self(elements))
    }

    /// The elements, up to the first that is malformed.
    pub(super) fn elements(self) -> impl Iterator<Item = (&'a str, Value<'a>)> {
        let mut rest = self.0;
        let elements = std::iter::from_fn(move || {
            let (name, value, after) = element(rest)?;
            rest = after;
            Some((name, value))
        });
        elements.take(MAX_ELEMENTS)
    }

    fn get(self, wanted: &str) -> Option<Value<'a>> {
        self.elements().find(|(name, _)| *name == wanted).map(|(_, value)| value)
    }

    pub(super) fn text(self, name: &str) -> Option<&'a str> {
        match self.get(name)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn number(self, name: &str) -> Option<f64> {
        match self.get(name)? {
            Value::Number(number) => Some(number),
            Value::Bool(value) => Some(f64::from(u8::from(value))),
            _ => None,
        }
    }

    pub(super) fn binary(self, name: &str) -> Option<&'a [u8]> {
        match self.get(name)? {
            Value::Binary(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Returns true if the element exists and is true.
    pub(super) fn is_true(self, name: &str) -> bool {
        self.number(name).is_some_and(|number| number != 0.0)
    }

    /// Returns true if an element has this name.
    pub(super) fn has(self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The elements of a document or an array within this one; empty where there is none.
    pub(super) fn inner(self, name: &str) -> Document<'a> {
        match self.get(name) {
            Some(Value::Document(inner)) => inner,
            _ => Document::default(),
        }
    }

    /// The texts of an array, at most `max`.
    pub(super) fn texts(self, name: &str, max: usize) -> Vec<String> {
        let texts = self.inner(name).elements().filter_map(|(_, value)| match value {
            Value::Text(text) => Some(text.to_owned()),
            _ => None,
        });
        texts.take(max).collect()
    }
}

fn number(bytes: &[u8]) -> Option<i32> {
    bytes.get(..4)?.try_into().ok().map(i32::from_le_bytes)
}

fn element(bytes: &[u8]) -> Option<(&str, Value<'_>, &[u8])> {
    let (&kind, rest) = bytes.split_first()?;
    let end = rest.iter().take(MAX_NAME + 1).position(|byte| *byte == 0)?;
    let name = std::str::from_utf8(&rest[..end]).ok()?;
    let rest = &rest[end + 1..];
    let length = || usize::try_from(number(rest)?).ok();
    let size = match kind {
        0x01 | 0x09 | 0x11 | 0x12 => 8,
        0x02 | 0x0d | 0x0e => length()?.checked_add(4)?,
        0x03 | 0x04 | 0x0f => length()?,
        0x05 => length()?.checked_add(5)?,
        0x06 | 0x0a | 0x7f | 0xff => 0,
        0x07 => 12,
        0x08 => 1,
        0x0b => {
            let pattern = rest.iter().position(|byte| *byte == 0)? + 1;
            pattern + rest[pattern..].iter().position(|byte| *byte == 0)? + 1
        }
        0x0c => length()?.checked_add(16)?,
        0x10 => 4,
        0x13 => 16,
        _ => return None,
    };
    let (value, after) = rest.split_at_checked(size)?;
    let value = match kind {
        0x01 => Value::Number(f64::from_le_bytes(value.try_into().ok()?)),
        0x12 => Value::Number(i64::from_le_bytes(value.try_into().ok()?) as f64),
        0x10 => Value::Number(f64::from(number(value)?)),
        // The length counts the NUL at the end.
        0x02 if size > MAX_TEXT => Value::Other,
        0x02 => Value::Text(std::str::from_utf8(value.get(4..size.checked_sub(1)?)?).ok()?),
        0x03 | 0x04 => Value::Document(Document::read(value)?),
        0x05 => Value::Binary(&value[5..]),
        0x08 => Value::Bool(value[0] != 0),
        _ => Value::Other,
    };
    Some((name, value, after))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_written_as_the_specification_shows() {
        // https://bsonspec.org/faq.html
        let bytes = Builder::default().text("hello", "world").finish();
        assert_eq!(bytes, b"\x16\0\0\0\x02hello\0\x06\0\0\0world\0\0");
    }

    #[test]
    fn elements_of_every_type_are_read_or_skipped() {
        let mut elements = Builder::default().0;
        for (kind, value) in [
            (0x01, &1.5_f64.to_le_bytes()[..]),
            (0x07, &[1; 12]),
            (0x09, &[1; 8]),
            (0x0a, b""),
            (0x0b, b"a\0i\0"),
            (0x11, &[1; 8]),
            (0x12, &7_i64.to_le_bytes()),
            (0x13, &[1; 16]),
            (0x04, b"\x0d\0\0\0\x02\x30\0\x01\0\0\0\0\0"),
            (0xff, b""),
        ] {
            elements = Builder(elements).element(kind, "x", value).0;
        }
        let bytes = Builder(elements)
            .i32("i", -3)
            .bool("b", true)
            .binary("p", b"ab")
            .document("d", Builder::default().text("t", "u"))
            .finish();
        let document = Document::read(&bytes).unwrap();
        assert_eq!(document.elements().count(), 14);
        assert_eq!((document.number("i"), document.number("x")), (Some(-3.0), Some(1.5)));
        assert!(document.is_true("b") && !document.is_true("c") && document.has("p"));
        assert_eq!(document.binary("p"), Some(&b"ab"[..]));
        assert_eq!(document.inner("d").text("t"), Some("u"));
    }

    #[test]
    fn elements_names_and_texts_are_bounded() {
        let long = "x".repeat(MAX_TEXT);
        let builder = Builder::default().text("long", &long).i32("ok", 1);
        let many = (0..2 * MAX_ELEMENTS).fold(builder, |builder, _| builder.bool("", true));
        let bytes = many.i32(&"n".repeat(MAX_NAME + 1), 1).finish();
        let document = Document::read(&bytes).unwrap();
        assert!(document.is_true("ok") && document.has("long") && document.text("long").is_none());
        assert_eq!(document.elements().count(), MAX_ELEMENTS);
        let bytes = Builder::default().i32(&"n".repeat(MAX_NAME + 1), 1).i32("ok", 1).finish();
        assert_eq!(Document::read(&bytes).unwrap().elements().count(), 0);
    }

    #[test]
    fn a_malformed_document_ends_early() {
        for bytes in
            [&b""[..], b"\x05\0\0\0", b"\x05\0\0\0\x01", b"\0\0\0\0\0", b"\xff\xff\xff\xff\0"]
        {
            assert_eq!(Document::read(bytes), None);
        }
        for bytes in [
            &b"\x0d\0\0\0\x02a\0\xff\xff\xff\x7f\0\0"[..],
            b"\x0d\0\0\0\x02a\0\0\0\0\0\0\0",
            b"\x0d\0\0\0\x05a\0\xff\xff\xff\xff\0\0",
            b"\x0b\0\0\0\x77a\0\0\0\0\0",
        ] {
            assert_eq!(Document::read(bytes).unwrap().elements().count(), 0);
        }
    }
}
