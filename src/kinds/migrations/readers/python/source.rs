//! The text of a Python file, by the encoding that it declares (PEP 263).

use std::borrow::Cow;

use crate::text::strip_byte_order_mark;

/// Returns the text. Characters beyond ASCII may be replaced, because keys have none.
///
/// # Errors
/// Bytes that are not UTF-8 where no encoding is declared: Python refuses them too.
pub(super) fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, &'static str> {
    let bytes = strip_byte_order_mark(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(Cow::Borrowed(text)),
        Ok(_) => Err("must be Python source, and holds a NUL"),
        Err(_) => {
            let encoding = declared(bytes).ok_or("must be UTF-8, or declare its encoding")?;
            let text = bytes_as_latin_1(bytes, lead_bytes(&encoding));
            Ok(Cow::Owned(text))
        }
    }
}

/// `coding: NAME` or `coding=NAME` in a comment on one of the first two lines.
fn declared(bytes: &[u8]) -> Option<String> {
    let is_comment = |line: &&[u8]| line.trim_ascii_start().first() == Some(&b'#');
    let name = |line: &[u8]| {
        let line = String::from_utf8_lossy(line).into_owned();
        let after = line.split_once("coding")?.1.strip_prefix([':', '='])?.trim_start().to_owned();
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let end = after.find(|c| !is_name(c)).unwrap_or(after.len());
        let name = after[..end].to_ascii_lowercase().replace('_', "-");
        (!name.is_empty() && name != "utf-8" && name != "utf8").then_some(name)
    };
    bytes.split(|byte| *byte == b'\n').take(2).filter(is_comment).find_map(name)
}

/// The first bytes of characters whose second byte may look like a backslash or a bracket.
fn lead_bytes(encoding: &str) -> &'static [std::ops::RangeInclusive<u8>] {
    match encoding {
        "shift-jis" | "shiftjis" | "sjis" | "cp932" | "ms932" | "shift-jis-2004"
        | "shift-jisx0213" => &[0x81..=0x9f, 0xe0..=0xfc],
        "gbk" | "cp936" | "gb2312" | "gb18030" | "big5" | "cp950" | "big5-hkscs" | "cp949"
        | "johab" => &[0x81..=0xfe],
        _ => &[],
    }
}

fn bytes_as_latin_1(bytes: &[u8], lead: &[std::ops::RangeInclusive<u8>]) -> String {
    let mut text = String::with_capacity(bytes.len());
    let mut rest = bytes.iter();
    while let Some(byte) = rest.next() {
        if lead.iter().any(|range| range.contains(byte)) {
            rest.next();
            text.push('\u{fffd}');
        } else {
            text.push(char::from(*byte));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_declared_encoding_is_used() {
        for (bytes, want) in [
            (&b"\xef\xbb\xbfa = 'x'"[..], Ok("a = 'x'")),
            (b"# -*- coding: latin-1 -*-\n# \xe9", Ok("# -*- coding: latin-1 -*-\n# \u{e9}")),
            (b"#!/usr/bin/python\n# vim: set fileencoding=cp1252 :\n'\x80'", Ok("")),
            // The second byte of this character is a backslash.
            (b"# coding=shift_jis\n'\x83\x5c'", Ok("# coding=shift_jis\n'\u{fffd}'")),
            (b"'\xe9'", Err("must be UTF-8, or declare its encoding")),
            (b"\n\n# coding: latin-1\n'\xe9'", Err("must be UTF-8, or declare its encoding")),
        ] {
            let got = decode(bytes);
            match want {
                Ok("") => assert!(got.is_ok(), "{bytes:?}"),
                want => assert_eq!(got.as_deref(), want.as_deref(), "{bytes:?}"),
            }
        }
    }
}
