//! One object of the API as JSON text, of which only the needed values are built.

use serde_json::Value;

use crate::{
    probe::{Class, Failure, json::Pointer},
    text::{MAX_FOREIGN, one_line},
};

/// The longest `status` that is built, in bytes of its text. A pod's has a few KiB.
const MAX_STATUS: usize = 128 * 1024;

/// An object, and its `status`.
pub(super) struct Object<'a> {
    text: &'a [u8],
    status: Value,
}

/// An entry of `status.conditions`.
pub(super) struct Condition {
    /// `True`, `False` or `Unknown`.
    pub(super) status: String,
    pub(super) reason: String,
    message: String,
}

impl<'a> Object<'a> {
    /// # Errors
    /// The text is no JSON object, or its status is too long.
    pub(super) fn read(text: &'a [u8]) -> Result<Self, Failure> {
        let odd = |message: &str| {
            Failure::new(Class::Protocol, format!("not the Kubernetes API: {message}"))
        };
        let status = pointer("/status").find(text).map_err(|_| odd("the body is not JSON"))?;
        let status = match status {
            None => Value::Null,
            Some(raw) if raw.len() > MAX_STATUS => {
                return Err(odd("status is longer than 128 KiB"));
            }
            Some(raw) => {
                serde_json::from_str(raw).map_err(|_| odd("status is nested too deeply"))?
            }
        };
        Ok(Self { text, status })
    }

    /// The JSON text at a place, if there is one.
    pub(super) fn raw(&self, place: &str) -> Option<&'a str> {
        pointer(place).find(self.text).ok().flatten()
    }

    /// The string at a place; empty where there is none.
    pub(super) fn text(&self, place: &str) -> String {
        let raw = self.raw(place).filter(|raw| raw.len() <= MAX_STATUS);
        raw.and_then(|raw| serde_json::from_str(raw).ok()).unwrap_or_default()
    }

    /// The number at a place, if there is one.
    pub(super) fn number(&self, place: &str) -> Option<i64> {
        self.raw(place)?.parse().ok()
    }

    /// The object's own name.
    pub(super) fn name(&self) -> String {
        one_line(&self.text("/metadata/name"), 253)
    }

    /// Returns true if the object is being deleted (`metadata.deletionTimestamp`).
    pub(super) fn is_being_deleted(&self) -> bool {
        !self.text("/metadata/deletionTimestamp").is_empty()
    }

    /// Returns true if the controller has seen the current generation of the object.
    pub(super) fn is_observed(&self) -> bool {
        let generation = self.number("/metadata/generation").unwrap_or_default();
        self.count("observedGeneration") >= generation.max(1)
    }

    /// A value of `status`.
    pub(super) fn status(&self, place: &str) -> &Value {
        self.status.pointer(place).unwrap_or(&Value::Null)
    }

    /// A number of `status`. The API leaves zeros out.
    pub(super) fn count(&self, name: &str) -> i64 {
        self.status.get(name).and_then(Value::as_i64).unwrap_or_default()
    }

    /// The condition of this type.
    pub(super) fn condition(&self, kind: &str) -> Option<Condition> {
        let conditions = self.status.get("conditions")?.as_array()?;
        let found = conditions.iter().find(|condition| condition["type"] == kind)?;
        let field = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
        Some(Condition {
            status: field("status"),
            reason: field("reason"),
            message: field("message"),
        })
    }

    /// The condition of this type, if it is `True`.
    pub(super) fn holds(&self, kind: &str) -> Option<Condition> {
        self.condition(kind).filter(|condition| condition.status == "True")
    }
}

impl Condition {
    /// `: REASON: MESSAGE`, or a part of it, or nothing.
    pub(super) fn explanation(&self) -> String {
        explanation(&self.reason, &self.message)
    }
}

/// `: REASON: MESSAGE`, or a part of it, or nothing.
pub(super) fn explanation(reason: &str, message: &str) -> String {
    let parts = [reason, message].into_iter().filter(|part| !part.is_empty());
    parts.map(|part| format!(": {}", one_line(part, MAX_FOREIGN))).collect()
}

/// A pointer that this room wrote.
fn pointer(place: &str) -> Pointer {
    Pointer::parse(place).unwrap_or_else(|| unreachable!("{place} is a pointer"))
}
