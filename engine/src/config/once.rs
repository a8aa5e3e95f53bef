//! The rule that a value may stand only once.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;

use super::error::Problem;
use super::key::KeyPath;

/// The values that stood before, each with its key.
pub(super) struct Seen<V>(HashMap<V, KeyPath>);

impl<V> Default for Seen<V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<V: Eq + Hash> Seen<V> {
    /// Notes a value; `found` names it in the error.
    ///
    /// # Errors
    ///
    /// [`Problem::Repeated`] when it stood before.
    pub(super) fn note(
        &mut self,
        value: V,
        key: KeyPath,
        found: impl fmt::Display,
    ) -> Result<(), Problem> {
        match self.0.insert(value, key) {
            None => Ok(()),
            Some(first) => Err(Problem::Repeated { found: found.to_string(), first }),
        }
    }
}
