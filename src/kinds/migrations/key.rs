//! The spelling and the order of keys. Versions may exceed 64 bits, so they stay text and are
//! parsed only to be compared.

use std::cmp::Ordering;

/// The order of keys. It decides the latest one, baselines, and tools that record the latest alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// As integers.
    Number,
    /// Byte by byte.
    Text,
    /// As Flyway's versions: parts between dots, each an integer, a missing one 0.
    Dotted,
    /// Keys have no order.
    None,
}

impl Order {
    /// Returns true if a key can be compared in this order.
    pub(super) fn has(self, key: &str) -> bool {
        match self {
            Order::Number => is_number(key),
            Order::Dotted => is_dotted(key),
            Order::Text => true,
            Order::None => false,
        }
    }
}

/// Returns true if a key is an integer without a sign.
pub(super) fn is_number(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|b| b.is_ascii_digit())
}

/// Extensions of languages that are compiled to JavaScript, and of the result: one migration may
/// have several of them.
pub(super) const COMPILED: [&str; 12] =
    ["js", "ts", "cjs", "mjs", "cts", "mts", "co", "coffee", "ls", "iced", "eg", "litcoffee"];

/// The key itself.
pub(super) fn as_is(key: &str) -> String {
    key.to_owned()
}

/// An integer without leading zeros; anything else unchanged.
pub(super) fn strip_zeros(key: &str) -> String {
    if is_number(key) { significant(key).to_owned() } else { key.to_owned() }
}

/// In lower case.
pub(super) fn lower_case(key: &str) -> String {
    key.to_lowercase()
}

/// Without the extension of a script: a database that recorded `.ts` and an image that holds `.js`
/// mean one migration.
pub(super) fn strip_extension(key: &str) -> String {
    let without = |extension: &&str| key.strip_suffix(*extension)?.strip_suffix('.');
    COMPILED.iter().chain(&["sql"]).find_map(without).unwrap_or(key).to_owned()
}

/// The digits that a name begins with, or all of it.
pub(super) fn leading_number(key: &str) -> String {
    let digits = &key[..key.bytes().take_while(u8::is_ascii_digit).count()];
    strip_zeros(if digits.is_empty() { key } else { digits })
}

/// Flyway's version: `_` is a dot, and a missing part is 0.
pub(super) fn dotted(key: &str) -> String {
    let version = key.replace('_', ".");
    if !is_dotted(&version) {
        return key.to_owned();
    }
    let parts: Vec<_> = version.split('.').map(significant).collect();
    let end = parts.iter().rposition(|part| *part != "0").unwrap_or(0);
    parts[..=end].join(".")
}

fn is_dotted(version: &str) -> bool {
    version.split('.').all(is_number)
}

fn significant(digits: &str) -> &str {
    match digits.trim_start_matches('0') {
        "" => "0",
        digits => digits,
    }
}

/// Compares two keys. `None`: at least one of them cannot be compared in this order.
pub(super) fn compare(order: Order, a: &str, b: &str) -> Option<Ordering> {
    let integer = |a: &str, b: &str| {
        let (a, b) = (significant(a), significant(b));
        a.len().cmp(&b.len()).then_with(|| a.cmp(b))
    };
    match order {
        Order::Number => (is_number(a) && is_number(b)).then(|| integer(a, b)),
        Order::Text => Some(a.cmp(b)),
        Order::Dotted if is_dotted(a) && is_dotted(b) => {
            let (mut a, mut b) = (a.split('.'), b.split('.'));
            loop {
                match (a.next(), b.next()) {
                    (None, None) => return Some(Ordering::Equal),
                    (x, y) => match integer(x.unwrap_or("0"), y.unwrap_or("0")) {
                        Ordering::Equal => {}
                        unequal => return Some(unequal),
                    },
                }
            }
        }
        Order::Dotted | Order::None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Rule = fn(&str) -> String;

    #[test]
    fn one_migration_has_one_key_however_it_is_written() {
        let rules: [(Rule, &str, &str); 14] = [
            (strip_zeros, "001", "1"),
            (strip_zeros, "000", "0"),
            (strip_zeros, "1a", "1a"),
            (lower_case, "20240102_Add_N.rb", "20240102_add_n.rb"),
            (strip_extension, "1_a.ts", "1_a"),
            (strip_extension, "1_a.d", "1_a.d"),
            (leading_number, "00012_x", "12"),
            (leading_number, "x", "x"),
            (dotted, "1_2", "1.2"),
            (dotted, "01.02.0", "1.2"),
            (dotted, "0", "0"),
            (dotted, "1.0", "1"),
            (dotted, "R:R__views.sql", "R:R__views.sql"),
            (as_is, "001", "001"),
        ];
        for (rule, key, want) in rules {
            assert_eq!(rule(key), want, "{key}");
        }
    }

    #[test]
    fn an_order_has_only_keys_that_it_can_compare() {
        for (order, key, want) in [
            (Order::Number, "042", true),
            (Order::Number, "1a", false),
            (Order::Number, "", false),
            (Order::Dotted, "1.2", true),
            (Order::Dotted, "R:x", false),
            (Order::Text, "R:x", true),
            (Order::None, "1", false),
        ] {
            assert_eq!(order.has(key), want, "{order:?} {key}");
        }
    }

    #[test]
    fn keys_follow_each_other_as_their_tool_has_it() {
        use Ordering::{Equal, Greater, Less};
        for (order, a, b, want) in [
            (Order::Number, "9", "10", Some(Less)),
            (Order::Number, "010", "10", Some(Equal)),
            (Order::Number, "99999999999999999999999", "1", Some(Greater)),
            (Order::Number, "-1", "1", None),
            (Order::Text, "9", "10", Some(Greater)),
            (Order::Dotted, "1.2", "1.10", Some(Less)),
            (Order::Dotted, "1", "1.0", Some(Equal)),
            (Order::Dotted, "2.0.1", "2", Some(Greater)),
            (Order::Dotted, "R:x", "2", None),
            (Order::None, "1", "2", None),
        ] {
            assert_eq!(compare(order, a, b), want, "{a} {b}");
        }
    }
}
