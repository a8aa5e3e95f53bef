//! TOML reader: from the text of a file to a checked [`Config`].
//!
//! The document is read as a tree with the offset of each value. [`reader`] refuses unknown keys
//! and wrong types, [`sections`] and [`mirror`] fill the structures, and errors of
//! [`Config::validate`] get their location from the tree.

mod foreign;
mod mirror;
mod output;
mod reader;
mod renamed;
mod sections;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::encoding::{NotText, decode};
use super::error::{ConfigError, Location, Violation};
use super::key::{KeyPath, Step};
use super::{Config, Problem};
#[cfg(test)]
pub(super) use renamed::{RENAMED, RenamedKey};
#[cfg(test)]
pub(super) use sections::KEYS;

/// Maximum size of a configuration file in bytes: three times the size of the largest AWS account,
/// 10 000 filters of ten rules and as many sessions. Guards against reading a device or a capture.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// A problem with its offset in the file.
pub(super) struct LocatedProblem {
    key: KeyPath,
    offset: usize,
    problem: Problem,
}

pub(super) fn open(path: &Path) -> Result<File, ConfigError> {
    File::open(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })
}

/// Reads everything; `path` only names the source in errors.
pub(super) fn read(path: &Path, source: impl Read) -> Result<Vec<u8>, ConfigError> {
    let fail = |source| ConfigError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    source.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let message =
            format!("longer than {} MiB, which no configuration needs", FILE_BYTES_MAX >> 20);
        return Err(fail(io::Error::new(io::ErrorKind::FileTooLarge, message)));
    }
    Ok(bytes)
}

pub(super) fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Config, ConfigError> {
    let text = decode(bytes).map_err(|NotText { valid, encoding, .. }| {
        let location = Location::at(path, &valid, valid.len());
        let message = format!("found bytes that are not {encoding} text");
        ConfigError::Syntax { location, message }
    })?;
    from_text(path, &text)
}

pub(super) fn from_text(path: &Path, text: &str) -> Result<Config, ConfigError> {
    let document = DeTable::parse(text).map_err(|error| {
        let location = Location::at(path, text, error.span().map_or(0, |span| span.start));
        let mut message = error.message().replace('\n', ", ");
        if let Some(format) = foreign::format_of(text) {
            message = format!(
                "{message}: this looks like {format}, and a configuration is TOML (`vxtap config --example` prints one)"
            );
        }
        ConfigError::Syntax { location, message }
    })?;
    let fail = |LocatedProblem { key, offset, problem }| ConfigError::InFile {
        location: Location::at(path, text, offset),
        key,
        problem,
    };
    let config = sections::config(&document).map_err(fail)?;
    // With a million sessions it takes more memory than anything else.
    drop(document);
    config.check().map_err(|violation| {
        // The same text was parsed before.
        let document = DeTable::parse(text).map(Spanned::into_inner).unwrap_or_default();
        fail(located(violation, &document))
    })?;
    Ok(config)
}

/// Locates a violation: at the last one in the file of the keys that cause it.
fn located(violation: Violation, document: &DeTable<'_>) -> LocatedProblem {
    let Violation { keys, problem } = violation;
    let last = keys
        .iter()
        .filter_map(|key| Some((offset_of(key, document)?, key)))
        .max_by_key(|(offset, _)| *offset);
    let (offset, key) = match last {
        Some((offset, key)) => (offset, key.clone()),
        None => (0, keys.into_iter().next().unwrap_or_default()),
    };
    LocatedProblem { key, offset, problem }
}

/// Returns the offset of the value of a key, if the key is in the document.
fn offset_of(key: &KeyPath, document: &DeTable<'_>) -> Option<usize> {
    let [Step::Key(first), rest @ ..] = key.steps() else { return None };
    let mut value = document.get(first.as_ref())?;
    for step in rest {
        value = match (step, value.get_ref()) {
            (Step::Key(key), DeValue::Table(table)) => table.get(key.as_ref())?,
            (Step::Index(index), DeValue::Array(array)) => array.get(*index)?,
            _ => return None,
        };
    }
    Some(value.span().start)
}
