//! Names of sessions, filters, outputs and profiles, and references to them.

use std::collections::HashSet;

use super::error::{Problem, Violation};
use super::key::{Entry, KeyPath};
use super::suggest::suggest;
use super::unique::Seen;

/// Maximum length of a name in bytes: names are written into options of pcapng files.
pub const NAME_BYTES_MAX: usize = 255;

/// Maximum number of names that an error lists.
const NAMES_SHOWN: usize = 8;

/// Checks the length and the characters of the name of a table, and that it is not in `names` yet.
/// `field` is its key.
pub(super) fn check_name<'c>(
    name: &'c str,
    names: &mut Seen<&'c str>,
    entry: Entry,
    field: &'static str,
) -> Result<(), Violation> {
    if !(1..=NAME_BYTES_MAX).contains(&name.len()) || name.chars().any(char::is_control) {
        let allowed = format!("a name of 1 to {NAME_BYTES_MAX} bytes without control characters");
        return Err(Problem::refused(format_args!("{name:?}"), allowed).at(entry.key(field)));
    }
    let key = |position| entry.sibling(position).key(field);
    let found = format_args!("the name {name:?}");
    names.insert(name, entry.position, found, key).map_err(|problem| problem.at(entry.key(field)))
}

/// The names of the tables of one kind, to which other tables refer.
#[derive(Debug)]
pub(super) struct Declared<'c> {
    allowed: &'static str,
    in_order: Vec<&'c str>,
    known: HashSet<&'c str>,
}

impl<'c> Declared<'c> {
    /// `allowed` describes a reference to one of the names in errors.
    pub(super) fn new(allowed: &'static str, names: impl Iterator<Item = &'c str>) -> Self {
        let in_order: Vec<_> = names.collect();
        let known = in_order.iter().copied().collect();
        Self { allowed, in_order, known }
    }

    /// Checks that a table has the name; `key` is the key of the reference.
    ///
    /// # Errors
    ///
    /// [`Problem::Refused`] with the existing names if none has.
    pub(super) fn check(&self, name: &str, key: impl FnOnce() -> KeyPath) -> Result<(), Violation> {
        if self.known.contains(name) {
            return Ok(());
        }
        let existing = self.existing(name);
        let allowed = format_args!("{}{existing}", self.allowed);
        Err(Problem::refused(format_args!("{name:?}"), allowed).at(key()))
    }

    /// Lists the names in place of which `found` was given.
    fn existing(&self, found: &str) -> String {
        let Self { allowed: _, in_order, known: _ } = self;
        if in_order.is_empty() {
            return ", and there is none".to_owned();
        }
        let shown = in_order.iter().take(NAMES_SHOWN).map(|name| format!("{name:?}"));
        let more = in_order.len().saturating_sub(NAMES_SHOWN);
        let more = (more > 0).then(|| format!("and {more} more"));
        let names: Vec<_> = shown.chain(more).collect();
        let hint = suggest(found, in_order).map(|name| format!(" (did you mean {name:?}?)"));
        format!("; there are: {}{}", names.join(", "), hint.unwrap_or_default())
    }
}
