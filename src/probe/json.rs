//! One value of a JSON text, found without building the other values.
//!
//! A built value takes up to 30 times the memory of its text, and a server chooses the text.

use std::borrow::Cow;

use serde_core::de::{
    Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

/// A JSON pointer (RFC 6901), e.g. `/status` or `/checks/0/ready`.
#[derive(Clone, Debug)]
pub struct Pointer(Vec<String>);

impl Pointer {
    /// Reads a pointer. `None` where it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        // Section 3: only 0 or 1 may follow a ~.
        let is_escaped = text.split('~').skip(1).all(|after| after.starts_with(['0', '1']));
        if !is_escaped || !(text.is_empty() || text.starts_with('/')) {
            return None;
        }
        let unescape = |token: &str| token.replace("~1", "/").replace("~0", "~");
        Some(Self(text.split('/').skip(1).map(unescape).collect()))
    }

    /// The text of the value at this place, if there is one. Where an object repeats a key, the
    /// last value counts.
    ///
    /// # Errors
    /// `json` is not one whole JSON text.
    pub fn find<'a>(&self, json: &'a [u8]) -> Result<Option<&'a str>, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        let found = Find(&self.0).deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(found.map(RawValue::get))
    }
}

/// Follows the tokens of a pointer.
struct Find<'p>(&'p [String]);

impl<'de> DeserializeSeed<'de> for Find<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<Self::Value, D::Error> {
        match self.0 {
            [] => <&RawValue>::deserialize(value).map(Some),
            _ => value.deserialize_any(self),
        }
    }
}

/// Scalars hold nothing that a token could name.
macro_rules! holds_nothing {
    ($($visit:ident: $type:ty),+) => {
        $(fn $visit<E>(self, _: $type) -> Result<Self::Value, E> {
            Ok(None)
        })+
    };
}

impl<'de> Visitor<'de> for Find<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    holds_nothing!(visit_bool: bool, visit_i64: i64, visit_u64: u64);
    holds_nothing!(visit_f64: f64, visit_str: &str);

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        let [token, rest @ ..] = self.0 else { return Ok(None) };
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if key == token.as_str() {
                found = map.next_value_seed(Find(rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let [token, rest @ ..] = self.0 else { return Ok(None) };
        // Section 4: no leading zeros.
        let index = token.parse::<usize>().ok().filter(|index| index.to_string() == *token);
        for at in 0.. {
            if Some(at) == index {
                let Some(found) = items.next_element_seed(Find(rest))? else { return Ok(None) };
                while items.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(found);
            }
            if items.next_element::<IgnoredAny>()?.is_none() {
                return Ok(None);
            }
        }
        Ok(None)
    }
}

/// Calls `each` with the text of each item of an array, in turn, so that only one is held.
///
/// # Errors
/// `json` is not one whole JSON array.
#[cfg(feature = "k8s")]
pub fn for_each(json: &str, each: impl FnMut(&str)) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    deserializer.deserialize_seq(Items(each))?;
    deserializer.end()
}

#[cfg(feature = "k8s")]
struct Items<F>(F);

#[cfg(feature = "k8s")]
impl<'de, F: FnMut(&str)> Visitor<'de> for Items<F> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element::<&RawValue>()? {
            (self.0)(item.get());
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_finds_what_serde_json_finds() {
        let text = r#"{"a":{"b/c":[1,{"d~e":"x\n"},null]},"":{"":3},"n":-1.5,"t":true,"s":"q"} "#;
        let whole: serde_json::Value = serde_json::from_str(text).unwrap();
        for pointer in [
            "",
            "/a",
            "/a/b~1c",
            "/a/b~1c/0",
            "/a/b~1c/1/d~0e",
            "/a/b~1c/2",
            "/a/b~1c/3",
            "/a/b~1c/01",
            "/a/b~1c/-1",
            "/a/b~1c/x",
            "/",
            "//",
            "/n",
            "/n/x",
            "/t/0",
            "/s/q",
            "/none",
            "/a/b",
        ] {
            let found = Pointer::parse(pointer).unwrap().find(text.as_bytes()).unwrap();
            let found = found.map(|raw| serde_json::from_str::<serde_json::Value>(raw).unwrap());
            assert_eq!(found.as_ref(), whole.pointer(pointer), "{pointer}");
        }
        for wrong in ["a", "/~", "/~2"] {
            assert!(Pointer::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_broken_or_nested_text_is_an_error_or_no_value() {
        let pointer = Pointer::parse("/a").unwrap();
        for broken in ["", "{", r#"{"a":1"#, r#"{"a":1} x"#, "[1,]", "\u{1f}\u{8b}"] {
            assert!(pointer.find(broken.as_bytes()).is_err(), "{broken}");
        }
        assert_eq!(pointer.find(br#"{"a":1,"a":2}"#).unwrap(), Some("2"));
        // Neither an error nor a crash: only what the pointer follows is nested in the reader.
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(pointer.find(deep.as_bytes()).unwrap(), None);
    }
    #[cfg(feature = "k8s")]
    #[test]
    fn each_item_of_an_array_is_seen_once() {
        let mut seen = Vec::new();
        for_each(r#"[1, {"a":[2]} ,"x"]"#, |item| seen.push(item.to_owned())).unwrap();
        assert_eq!(seen, ["1", r#"{"a":[2]}"#, r#""x""#]);
        for broken in ["{}", "[1", "[1] 2", "null"] {
            assert!(for_each(broken, |_| {}).is_err(), "{broken}");
        }
    }
}
