//! Tokens of JavaScript, TypeScript and C#, as far as class names and string constants need them.

/// One token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// A name, keyword or number.
    Word(String),
    /// A string literal with its value.
    Text(String),
    /// A string literal or regular expression whose value is not plain.
    Opaque,
    /// Any other character.
    Other(char),
}

impl Token {
    /// Returns true if it is this name or keyword.
    pub(crate) fn is_word(&self, text: &str) -> bool {
        matches!(self, Token::Word(word) if word == text)
    }
}

/// Returns a file's text. Compilers of C# and TypeScript read UTF-16 with a byte order mark too.
pub(crate) fn decode(bytes: &[u8]) -> String {
    let utf_16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
        char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf_16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf_16(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        bytes => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// Splits a text. Comments and blanks are left out.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        if let Some(comment) = rest.strip_prefix("//") {
            rest = &comment[comment.find('\n').unwrap_or(comment.len())..];
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.find("*/").map_or("", |end| &comment[end + 2..]);
        } else if c.is_whitespace() {
            rest = after;
        } else if is_word(c) {
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..end].to_owned()));
            rest = &rest[end..];
        } else if let Some(raw) = rest.strip_prefix("\"\"\"") {
            let end = raw.find("\"\"\"").unwrap_or(raw.len());
            tokens.push(Token::Text(raw[..end].to_owned()));
            rest = raw.get(end + 3..).unwrap_or_default();
        } else if let Some(verbatim) = rest.strip_prefix("@\"") {
            let (token, after) = string(verbatim, '"', Escape::Doubled);
            tokens.push(token);
            rest = after;
        } else if matches!(c, '"' | '\'') {
            let (token, after) = string(after, c, Escape::Backslash);
            tokens.push(token);
            rest = after;
        } else if c == '`' {
            let (token, after) = template(after);
            tokens.push(token);
            rest = after;
        } else if let Some(after) = regular_expression(rest, tokens.last()) {
            tokens.push(Token::Opaque);
            rest = after;
        } else {
            tokens.push(Token::Other(c));
            rest = after;
        }
    }
    tokens
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

/// The way in which a string contains its own quote.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Escape {
    Backslash,
    Doubled,
}

/// A string whose opening quote has been read.
fn string(text: &str, quote: char, escape: Escape) -> (Token, &str) {
    let mut value = String::new();
    let mut is_plain = true;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => {
                let after = &text[at + 1..];
                if escape == Escape::Doubled && after.starts_with(quote) {
                    chars.next();
                    value.push(quote);
                    continue;
                }
                return (if is_plain { Token::Text(value) } else { Token::Opaque }, after);
            }
            '\\' if escape == Escape::Backslash => match chars.next() {
                Some((_, c @ ('\\' | '\'' | '"' | '`'))) => value.push(c),
                // No key of a migration has one of the others.
                _ => is_plain = false,
            },
            '\n' if escape == Escape::Backslash => return (Token::Opaque, &text[at..]),
            c => value.push(c),
        }
    }
    (Token::Opaque, "")
}

/// A template literal whose opening quote has been read. Expressions in it may hold strings and
/// templates.
fn template(text: &str) -> (Token, &str) {
    /// The surroundings of the next character.
    enum Within {
        Template,
        /// An expression, with the number of braces that it has opened.
        Expression(usize),
    }
    let mut value = String::new();
    let mut is_plain = true;
    let mut within = vec![Within::Template];
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        rest = after;
        match (within.last_mut(), c) {
            (Some(Within::Template), '\\') => {
                is_plain = false;
                rest = &after[after.chars().next().map_or(0, char::len_utf8)..];
            }
            (Some(Within::Template), '$') if after.starts_with('{') => {
                is_plain = false;
                within.push(Within::Expression(0));
                rest = &after[1..];
            }
            (Some(Within::Template), '`') => {
                within.pop();
                if within.is_empty() {
                    return (if is_plain { Token::Text(value) } else { Token::Opaque }, after);
                }
            }
            (Some(Within::Template), c) => value.push(c),
            (Some(Within::Expression(_)), '`') => within.push(Within::Template),
            (Some(Within::Expression(_)), '"' | '\'') => {
                rest = string(after, c, Escape::Backslash).1;
            }
            (Some(Within::Expression(open)), '{') => *open += 1,
            (Some(Within::Expression(0)), '}') => drop(within.pop()),
            (Some(Within::Expression(open)), '}') => *open -= 1,
            _ => {}
        }
    }
    (Token::Opaque, "")
}

/// Returns the text after a regular expression, if one begins here. After a value, `/` divides.
///
/// A `)` ends a value or the condition of an `if`. Behind it only a regular expression with a
/// method call is taken for one, e.g. `if (x) /'/.test(y)`.
fn regular_expression<'a>(text: &'a str, before: Option<&Token>) -> Option<&'a str> {
    let text = text.strip_prefix('/')?;
    let is_value = match before {
        Some(Token::Word(word)) => {
            !matches!(word.as_str(), "return" | "typeof" | "case" | "in" | "of" | "void" | "delete")
        }
        Some(Token::Text(_) | Token::Opaque | Token::Other(']' | '}')) => true,
        Some(Token::Other(_)) | None => false,
    };
    let (mut in_set, mut chars) = (false, text.char_indices());
    while let Some((at, c)) = chars.next().filter(|_| !is_value) {
        match c {
            '\\' => drop(chars.next()),
            '[' => in_set = true,
            ']' => in_set = false,
            '/' if !in_set => {
                let after = &text[at + 1..];
                let behind = after.trim_start_matches(|c: char| c.is_ascii_lowercase());
                let is_certain = before != Some(&Token::Other(')')) || behind.starts_with('.');
                return is_certain.then_some(after);
            }
            '\n' => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tokens in one text; `?` where one has no value.
    fn shown(text: &str) -> String {
        let shown = |token: Token| match token {
            Token::Word(word) => word,
            Token::Text(text) => format!("<{text}>"),
            Token::Opaque => "?".to_owned(),
            Token::Other(c) => c.to_string(),
        };
        tokens(text).into_iter().map(shown).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_and_strings_are_told_from_code() {
        for (text, want) in [
            ("a // 'x'\n= 'b' /* \"c\" */ + \"d\"", "a = <b> + <d>"),
            ("'a\\'b' 'a\\nb' 'a\nb", "<a'b> ? ? b"),
            ("`a` `a${b}c` `${`x${'}'}`}` z", "<a> ? ? z"),
            ("`a${ {b: {}} }c` z", "? z"),
            ("a / b / c", "a / b / c"),
            ("x = /['\"]\\/[/]/g; y", "x = ? g ; y"),
            ("return /'/", "return ?"),
            ("if (x) /`/g.test(y); z", "if ( x ) ? g . test ( y ) ; z"),
            ("(a) / b / c", "( a ) / b / c"),
            ("@\"a\\\"\"b\" @x", "<a\\\"b> @ x"),
            ("\"\"\"a \"b\" \"\"\" c", "<a \"b\" > c"),
            ("'unclosed", "?"),
        ] {
            assert_eq!(shown(text), want, "{text}");
        }
    }

    #[test]
    fn every_encoding_of_a_compiler_is_read() {
        let utf_16 =
            |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        let mut big: Vec<u8> = vec![0xfe, 0xff];
        big.extend("class ä".encode_utf16().flat_map(u16::to_be_bytes));
        for bytes in [utf_16("\u{feff}class ä"), big, "\u{feff}class ä".into(), "class ä".into()]
        {
            assert_eq!(decode(&bytes), "class ä", "{bytes:?}");
        }
    }
}
