//! Names of sessions, filters, outputs and profiles, and references to them.

use super::error::{Problem, Violation};
use super::key::KeyPath;
use super::unique::Seen;

/// Maximum length of a name in bytes: names are written into options of pcapng files.
pub const NAME_BYTES_MAX: usize = 255;

/// Checks the length and the characters of a name, and that it is not in `names` yet.
pub(super) fn check_name<'c>(
    name: &'c str,
    names: &mut Seen<&'c str>,
    key: KeyPath,
) -> Result<(), Violation> {
    if !(1..=NAME_BYTES_MAX).contains(&name.len()) || name.chars().any(char::is_control) {
        let allowed = format!("a name of 1 to {NAME_BYTES_MAX} bytes without control characters");
        return Err(Problem::refused(format_args!("{name:?}"), allowed).at(key));
    }
    let found = format_args!("the name {name:?}");
    names.insert(name, key.clone(), found).map_err(|problem| problem.at(key))
}

/// Checks that a value is the name of a declared table.
pub(super) fn check_reference(
    name: &str,
    is_declared: bool,
    section: &str,
    key: &KeyPath,
) -> Result<(), Violation> {
    if is_declared {
        return Ok(());
    }
    let allowed = format!("the name of a [[{section}]] of this configuration");
    Err(Problem::refused(format_args!("{name:?}"), allowed).at(key.clone()))
}
