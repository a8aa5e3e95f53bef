//! Dotted paths of configuration keys.

use std::borrow::Cow;
use std::fmt;

/// Full path of a key, such as `session[2].vni`. Indexes of arrays count from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyPath {
    steps: Vec<Step>,
}

/// One step of a [`KeyPath`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(Cow<'static, str>),
    Index(usize),
}

/// A table of an array of tables, such as `session[2]`, whose path is made only for an error: there
/// may be a million of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) section: &'static str,
    /// Position in the array, from 0.
    pub(super) position: usize,
}

impl Entry {
    pub(super) fn path(self) -> KeyPath {
        KeyPath::top(self.section).index(self.position)
    }

    /// Returns the path of a key of the table.
    pub(super) fn key(self, field: &'static str) -> KeyPath {
        self.path().key(field)
    }

    /// Returns another table of the same array.
    pub(super) const fn sibling(self, position: usize) -> Self {
        Self { position, ..self }
    }
}

impl KeyPath {
    /// Returns the path of a key at the top of the file.
    pub(super) fn top(key: &'static str) -> Self {
        Self::default().key(key)
    }

    pub(super) fn key(&self, key: impl Into<Cow<'static, str>>) -> Self {
        self.with(Step::Key(key.into()))
    }

    pub(super) fn index(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Returns the path as it is written in a table header.
    pub(super) fn without_indexes(&self) -> Self {
        let keys = self.steps.iter().filter(|step| matches!(step, Step::Key(_)));
        Self { steps: keys.cloned().collect() }
    }

    fn with(&self, step: Step) -> Self {
        let mut steps = self.steps.clone();
        steps.push(step);
        Self { steps }
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.steps.iter().enumerate() {
            match step {
                Step::Key(key) => {
                    let dot = if position == 0 { "" } else { "." };
                    if is_bare(key) { write!(f, "{dot}{key}")? } else { write!(f, "{dot}{key:?}")? }
                }
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// Returns whether TOML lets the key stand without quotes.
fn is_bare(key: &str) -> bool {
    !key.is_empty()
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_with_dots_and_indexes() {
        assert_eq!(KeyPath::top("session").index(2).key("vni").to_string(), "session[2].vni");
    }

    #[test]
    fn a_key_that_is_not_bare_is_quoted_and_escaped() {
        assert_eq!(KeyPath::top("capture").key("a\nb").to_string(), r#"capture."a\nb""#);
        assert_eq!(KeyPath::top("").to_string(), r#""""#);
    }
}
