//! Detection of repeated values.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;

use super::error::Problem;
use super::key::KeyPath;

/// Values seen so far, each with its position in its list.
#[derive(Debug)]
pub(super) struct Seen<V>(HashMap<V, usize>);

impl<V> Default for Seen<V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<V: Eq + Hash> Seen<V> {
    /// Adds a value. `found` names it in the error, and `key` returns the key of the value at a
    /// position.
    ///
    /// # Errors
    ///
    /// [`Problem::Repeated`] if the value was added before.
    pub(super) fn insert(
        &mut self,
        value: V,
        position: usize,
        found: impl fmt::Display,
        key: impl FnOnce(usize) -> KeyPath,
    ) -> Result<(), Problem> {
        match self.0.insert(value, position) {
            None => Ok(()),
            Some(first) => Err(Problem::Repeated { found: found.to_string(), first: key(first) }),
        }
    }
}
