//! The few assignments that migrations written in Python make at their top level, read without running them.

/// What `name = VALUE` assigns, at the beginning of a line or indented, with a type annotation or without: the strings in
/// VALUE. `None`: there is no such assignment, or its value is neither a string, a list of strings nor `None`.
pub fn strings(text: &str, name: &str) -> Option<Vec<String>> {
    let mut rest = text;
    loop {
        let at = find_word(rest, name)?;
        let line_start = rest[..at].rfind('\n').map_or(0, |n| n + 1);
        let first_on_line = rest[line_start..at].chars().all(|c| c == ' ' || c == '\t');
        rest = &rest[at + name.len()..];
        if !first_on_line {
            continue;
        }
        let after = rest.trim_start_matches([' ', '\t']);
        let value = match after.strip_prefix(':') {
            // The annotation ends at the `=`; none of ours holds one.
            Some(annotated) => annotated
                .split('\n')
                .next()
                .and_then(|line| line.find('='))
                .map(|eq| &annotated[eq + 1..]),
            None => after.strip_prefix('=').filter(|value| !value.starts_with('=')),
        };
        if let Some(value) = value {
            return read_value(value);
        }
    }
}

fn find_word(text: &str, word: &str) -> Option<usize> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word)
        .find(|(at, _)| {
            !text[..*at].ends_with(is_word) && !text[at + word.len()..].starts_with(is_word)
        })
        .map(|(at, _)| at)
}

fn read_value(value: &str) -> Option<Vec<String>> {
    let value = value.trim_start_matches([' ', '\t', '\\', '\n', '\r']);
    if value.starts_with("None") {
        return Some(Vec::new());
    }
    let mut chars = value.chars().peekable();
    let (mut depth, mut found) = (0_usize, Vec::new());
    while let Some(c) = chars.next() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            '\'' | '"' => {
                let mut string = String::new();
                loop {
                    match chars.next()? {
                        '\\' => string.extend(chars.next()),
                        end if end == c => break,
                        inside => string.push(inside),
                    }
                }
                found.push(string);
            }
            '#' => while chars.next_if(|c| *c != '\n').is_some() {},
            c if c.is_whitespace() || c == ',' => {}
            // Something that only Python can work out.
            _ if depth == 0 => return None,
            _ => {}
        }
        if depth == 0 {
            return Some(found);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_are_read_in_all_their_forms() {
        let some = |values: &[&str]| {
            Some(values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>())
        };
        for (text, want) in [
            ("revision = 'a1'\n", some(&["a1"])),
            ("\"\"\"x\nrevision is here\"\"\"\nrevision: str = \"a1\"\n", some(&["a1"])),
            ("down_revision = 'z'\nrevision='a'", some(&["a"])),
            ("revision: Union[str, Sequence[str], None] = None\n", some(&[])),
            ("revision = ('a', \"b\")  # both\n", some(&["a", "b"])),
            ("revision = (\n    'a',  # 'not this'\n    'b',\n)\n", some(&["a", "b"])),
            ("    revision = [('x', '1'), ('x', '2')]\n", some(&["x", "1", "x", "2"])),
            ("revision = compute()\n", None),
            ("revision == 'a'\n", None),
            ("if revision:\n  pass\n", None),
            ("revision = 'a", None),
            ("", None),
        ] {
            assert_eq!(strings(text, "revision"), want, "{text}");
        }
    }
}
