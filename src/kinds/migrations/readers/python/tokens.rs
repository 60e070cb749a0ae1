//! Python's tokens, as far as assignments need them (Python reference, chapter 2).

use crate::sort::sort;

/// One token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A name or keyword.
    Name(String),
    /// A string literal; no value where it holds expressions or bytes.
    Text(Option<String>),
    /// A number, an operator of several characters, or any other character alone.
    Other(String),
}

impl Token {
    /// Returns true if it is this operator or bracket.
    pub(super) fn is(&self, text: &str) -> bool {
        matches!(self, Token::Other(other) if other == text)
    }

    /// Returns true if it is this name or keyword.
    pub(super) fn is_name(&self, text: &str) -> bool {
        matches!(self, Token::Name(name) if name == text)
    }
}

/// A logical line: its indentation in columns and its tokens. Brackets and backslashes join
/// physical lines.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    /// The column of the first token, tabs going to multiples of eight.
    pub indent: usize,
    /// Without the line's end and comments.
    pub tokens: Vec<Token>,
}

/// Operators of several characters that contain one with a meaning of its own, the longer ones
/// first.
const OPERATORS: [&str; 21] = [
    "**=", "//=", ">>=", "<<=", "...", "==", "!=", "<=", ">=", ":=", "->", "+=", "-=", "*=", "/=",
    "%=", "&=", "|=", "^=", "@=", "**",
];

/// Splits a text into logical lines. A string that is not closed ends with the text.
pub(super) fn lines(text: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut line = Line::default();
    let (mut rest, mut depth, mut at_start) = (text, 0_usize, true);
    while let Some(c) = rest.chars().next() {
        let len = c.len_utf8();
        match c {
            '\n' | '\r' => {
                if depth == 0 && !line.tokens.is_empty() {
                    lines.push(std::mem::take(&mut line));
                }
                at_start = depth == 0;
                rest = &rest[len..];
                if at_start {
                    line.indent = 0;
                }
            }
            ' ' | '\t' | '\u{c}' => {
                if at_start {
                    line.indent = match c {
                        '\t' => line.indent / 8 * 8 + 8,
                        ' ' => line.indent + 1,
                        _ => 0,
                    };
                }
                rest = &rest[len..];
            }
            '#' => rest = &rest[rest.find(['\n', '\r']).unwrap_or(rest.len())..],
            '\\' => {
                rest = &rest[len..];
                rest =
                    rest.strip_prefix("\r\n").or(rest.strip_prefix(['\n', '\r'])).unwrap_or(rest);
            }
            _ => {
                at_start = false;
                let (token, after) = token(rest, 0);
                if let Token::Other(other) = &token {
                    match other.as_str() {
                        "(" | "[" | "{" => depth += 1,
                        ")" | "]" | "}" => depth = depth.saturating_sub(1),
                        _ => {}
                    }
                }
                line.tokens.push(token);
                rest = after;
            }
        }
    }
    if !line.tokens.is_empty() {
        lines.push(line);
    }
    lines
}

/// Templates within templates, as deep as they are read: each costs stack.
const MAX_TEMPLATES: usize = 20;

/// The first token of a text that begins with one. `templates` counts those around it.
fn token(text: &str, templates: usize) -> (Token, &str) {
    let word_end = text.find(|c: char| !is_word(c)).unwrap_or(text.len());
    let (word, after) = text.split_at(word_end);
    if after.starts_with(['\'', '"']) && is_prefix(word) {
        return string(word, after, templates);
    }
    if !word.is_empty() {
        let is_number = word.starts_with(|c: char| c.is_ascii_digit());
        let word = word.to_owned();
        return (if is_number { Token::Other(word) } else { Token::Name(word) }, after);
    }
    let operator = OPERATORS.iter().find(|operator| text.starts_with(**operator));
    let len = operator.map_or_else(|| text.chars().next().map_or(0, char::len_utf8), |o| o.len());
    (Token::Other(text[..len].to_owned()), &text[len..])
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The prefixes of strings; order and case are free.
fn is_prefix(word: &str) -> bool {
    let mut letters = word.to_ascii_lowercase().into_bytes();
    sort(&mut letters);
    matches!(letters.as_slice(), b"" | b"r" | b"u" | b"b" | b"f" | b"t" | b"br" | b"fr" | b"rt")
}

/// A string literal whose prefix has been read.
fn string<'a>(prefix: &str, text: &'a str, templates: usize) -> (Token, &'a str) {
    let prefix = prefix.to_ascii_lowercase();
    let (is_raw, is_bytes) = (prefix.contains('r'), prefix.contains('b'));
    let is_template = prefix.contains(['f', 't']) && templates < MAX_TEMPLATES;
    let quote = &text[..1];
    let triple = quote.repeat(3);
    let end = if text.starts_with(&triple) { triple.as_str() } else { quote };
    let (mut value, mut rest, mut is_plain) = (String::new(), &text[end.len()..], !is_bytes);
    loop {
        if let Some(after) = rest.strip_prefix(end) {
            return (Token::Text(is_plain.then_some(value)), after);
        }
        let Some(c) = rest.chars().next() else { return (Token::Text(None), rest) };
        match c {
            '\\' => rest = escape(rest, is_raw, &mut value),
            '{' | '}' if is_template && rest[1..].starts_with(c) => {
                value.push(c);
                rest = &rest[2..];
            }
            '{' if is_template => {
                is_plain = false;
                rest = after_expression(&rest[1..], end, templates + 1);
            }
            // A line's end ends an unclosed string of one quote. The file is broken, and the next
            // line is outside of the string.
            '\n' if end.len() == 1 => return (Token::Text(None), rest),
            _ => {
                value.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
}

/// Returns the text after an expression in braces. Strings within may use the same quotes (PEP
/// 701).
fn after_expression<'a>(mut rest: &'a str, end: &str, templates: usize) -> &'a str {
    let mut depth = 1_usize;
    while let Some(c) = rest.chars().next() {
        if depth == 1 && end.len() == 3 && rest.starts_with(end) {
            return rest;
        }
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => depth -= 1,
            _ if is_word(c) || c == '\'' || c == '"' => {
                rest = token(rest, templates).1;
                continue;
            }
            _ => {}
        }
        rest = &rest[c.len_utf8()..];
        if depth == 0 {
            break;
        }
    }
    rest
}

/// Appends the character of an escape, and returns the text after it. `rest` begins with the
/// backslash.
fn escape<'a>(rest: &'a str, is_raw: bool, value: &mut String) -> &'a str {
    let after = &rest[1..];
    let Some(c) = after.chars().next() else { return after };
    if is_raw {
        value.push('\\');
        value.push(c);
        return &after[c.len_utf8()..];
    }
    let code = |from: usize, len: usize, radix: u32| {
        let digits = after.get(from..from + len)?;
        let c = u32::from_str_radix(digits, radix).ok().and_then(char::from_u32)?;
        Some((c, &after[from + len..]))
    };
    let octal = after.bytes().take(3).take_while(|b| (b'0'..=b'7').contains(b)).count();
    let coded = match c {
        'x' => code(1, 2, 16),
        'u' => code(1, 4, 16),
        'U' => code(1, 8, 16),
        '0'..='7' => code(0, octal, 8),
        _ => None,
    };
    if let Some((c, after)) = coded {
        value.push(c);
        return after;
    }
    match c {
        '\r' => return after.strip_prefix("\r\n").unwrap_or(&after[1..]),
        '\n' => {}
        'n' => value.push('\n'),
        't' => value.push('\t'),
        'r' => value.push('\r'),
        'a' => value.push('\u{7}'),
        'b' => value.push('\u{8}'),
        'f' => value.push('\u{c}'),
        'v' => value.push('\u{b}'),
        '\\' | '\'' | '"' => value.push(c),
        _ => value.extend(['\\', c]),
    }
    &after[c.len_utf8()..]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts of all strings; `?` where one has no value.
    fn strings(text: &str) -> Vec<String> {
        let text_of = |token: &Token| match token {
            Token::Text(value) => Some(value.clone().unwrap_or_else(|| "?".to_owned())),
            _ => None,
        };
        lines(text).iter().flat_map(|line| &line.tokens).filter_map(text_of).collect()
    }

    #[test]
    fn strings_of_every_prefix_and_quoting_are_read() {
        for (text, want) in [
            ("'a' \"b\"", &["a", "b"][..]),
            ("u'a' U\"b\" r'\\d' R'c' Rb'x' b'y'", &["a", "b", "\\d", "c", "?", "?"]),
            ("'''a\n'b' \"c\"'''", &["a\n'b' \"c\""]),
            ("\"\"\"a\\\"\"\"\"", &["a\""]),
            ("'\\x41\\101\\u0041\\n\\q\\'\\\\'", &["AAA\n\\q'\\"]),
            ("'a\\\nb'", &["ab"]),
            ("r'a\\'b'", &["a\\'b"]),
            ("f'a' f'{{a}}' f'{x}' f'{d['k']}' 'z'", &["a", "{a}", "?", "?", "z"]),
            ("f'''{x!r:>{w}}''' t\"{a}\" 'z'", &["?", "?", "z"]),
            ("# 'a'\n'b' # 'c'", &["b"]),
            ("'a\n'b'", &["?", "b"]),
            ("'a", &["?"]),
        ] {
            assert_eq!(strings(text), want, "{text}");
        }
    }

    #[test]
    fn lines_are_joined_by_brackets_and_backslashes() {
        let shape = |text: &str| {
            lines(text).iter().map(|line| (line.indent, line.tokens.len())).collect::<Vec<_>>()
        };
        assert_eq!(shape("a = (\n  1,  # x\n\n  2)\nb"), [(0, 7), (0, 1)]);
        assert_eq!(shape("a = \\\n  1\n  b\n\tc\n"), [(0, 3), (2, 1), (8, 1)]);
        assert_eq!(shape("\r\n\r\na\r\n    b\r\n# c\n"), [(0, 1), (4, 1)]);
        assert_eq!(shape("x: int = a == b"), [(0, 7)]);
    }
}
