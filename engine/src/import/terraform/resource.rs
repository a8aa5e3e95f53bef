//! A resource of a state or a plan.

use serde_json::Value;

use crate::import::error::ImportError;
use crate::import::item::Item;
use crate::import::model::Mirror;

/// Reads a resource of a type.
pub(super) type Reader = fn(&Resource<'_>, &mut Mirror) -> Result<(), ImportError>;

/// A resource of a kind that is read.
pub(super) struct Resource<'v> {
    /// The identifier that others refer to; the address if the resource is not created yet.
    pub(super) id: String,
    pub(super) values: Item<'v>,
    /// Attributes that a plan does not know yet.
    pub(super) unknown: Option<&'v Value>,
}

impl Resource<'_> {
    /// Returns `true` if the attribute, or a part of it, is not known before `terraform apply`.
    fn is_unknown(&self, key: &str) -> bool {
        self.unknown.and_then(|unknown| unknown.get(key)).is_some_and(has_true)
    }

    /// Checks that some attributes are known.
    pub(super) fn check_known(&self, keys: &[&str]) -> Result<(), ImportError> {
        let unknown = keys.iter().find(|key| self.is_unknown(key));
        unknown.map_or(Ok(()), |key| Err(self.not_known(key)))
    }

    pub(super) fn not_known(&self, key: &str) -> ImportError {
        let message = "is not known before `terraform apply`; show the state after it";
        self.values.error(format_args!("{key} {message}"))
    }
}

/// Returns whether `true` is anywhere in the value; the JSON reader limits the depth.
fn has_true(value: &Value) -> bool {
    match value {
        Value::Bool(value) => *value,
        Value::Array(list) => list.iter().any(has_true),
        Value::Object(object) => object.values().any(has_true),
        _ => false,
    }
}
