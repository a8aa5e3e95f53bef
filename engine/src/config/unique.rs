//! Detection of repeated values.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;

use super::error::Problem;
use super::key::KeyPath;

/// Values seen so far, each with its key.
pub(super) struct Seen<V>(HashMap<V, KeyPath>);

impl<V> Default for Seen<V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<V: Eq + Hash> Seen<V> {
    /// Adds a value; `found` names it in the error.
    ///
    /// # Errors
    ///
    /// [`Problem::Repeated`] if the value was added before.
    pub(super) fn insert(
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
