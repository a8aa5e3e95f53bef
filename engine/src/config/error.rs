//! Errors of a configuration, with their location.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::key::KeyPath;
use crate::plural::counted;

/// Error of a configuration that cannot be read or is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Error of the system call.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("{location}: {message}")]
    Syntax {
        /// Position at which the parser stopped.
        location: Location,
        /// Text found and text expected.
        message: String,
    },
    /// A key of the file is unknown, missing, or has a value that is not allowed.
    #[error("{location}: {key}: {problem}")]
    InFile {
        /// Position of the value; for a contradiction between several values, of the later one.
        location: Location,
        /// The key of that value.
        key: KeyPath,
        /// Value found and values allowed.
        problem: Problem,
    },
    /// A value of a configuration built by a program is not allowed.
    #[error("{key}: {problem}")]
    InProgram {
        /// The key that the value has in a file.
        key: KeyPath,
        /// Value found and values allowed.
        problem: Problem,
    },
}

/// A position in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The file.
    pub path: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl Location {
    /// Returns the location of the byte at `offset`; an offset past the end means the end.
    pub(super) fn at(path: &Path, text: &str, offset: usize) -> Self {
        let mut end = offset.min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &text[..end];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            path: path.to_owned(),
            line: before.bytes().filter(|&byte| byte == b'\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.path.display(), self.line, self.column)
    }
}

/// Value found at a key, and the values allowed there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The key does not exist.
    #[error("unknown key{}; allowed here are {}", did_you_mean(*suggestion), list(allowed))]
    UnknownKey {
        /// Existing key with a similar spelling.
        suggestion: Option<&'static str>,
        /// All keys of the table.
        allowed: &'static [&'static str],
    },
    /// The key was renamed.
    #[error("renamed; write `{new}`")]
    RenamedKey {
        /// Name of the key now.
        new: &'static str,
    },
    /// A required key is missing.
    #[error("missing; allowed is {allowed}")]
    Missing {
        /// Values allowed.
        allowed: String,
    },
    /// The value has the wrong type or is outside its limits.
    #[error("found {found}, allowed is {allowed}")]
    Refused {
        /// The value.
        found: String,
        /// The values that are allowed.
        allowed: String,
    },
    /// The value has to be unique and is not.
    #[error("found {found} again, after {first}; allowed is each one once")]
    Repeated {
        /// The value.
        found: String,
        /// Key of its first occurrence.
        first: KeyPath,
    },
    /// The list has too many entries.
    #[error("found {found} {things}, allowed are {max} at most")]
    TooMany {
        /// Number of entries.
        found: usize,
        /// Noun for the entries.
        things: &'static str,
        /// Maximum number of entries.
        max: u32,
    },
    /// There are fewer CPUs than queues.
    #[error(
        "found too few CPUs ({cpus} for {}); allowed is one for each queue of capture.queues, or \"auto\"", counted(*queues, "queue")
    )]
    TooFewCpus {
        /// Length of `workers.cpus`.
        cpus: usize,
        /// Length of `capture.queues`.
        queues: usize,
    },
    /// The rings exceed the memory budget.
    #[error(
        "found memory.per_queue_mib = {per_queue_mib} for chunks of {chunk_size} bytes (fill ring {fill_ring}, \
         RX ring {rx_ring}, batch {batch}, output rings {outputs} x {output_ring_len}); allowed is {needed_mib} MiB or more, or shorter rings"
    )]
    MemoryTooSmall {
        /// Budget of a queue in MiB.
        per_queue_mib: u32,
        /// Entries of the fill ring.
        fill_ring: u32,
        /// Entries of the RX ring.
        rx_ring: u32,
        /// Frames of a batch.
        batch: u32,
        /// Number of outputs.
        outputs: usize,
        /// Entries of each output ring: the configured number, or the minimum.
        output_ring_len: u32,
        /// Bytes of a chunk.
        chunk_size: u32,
        /// Lowest sufficient budget in MiB.
        needed_mib: u64,
    },
}

impl Problem {
    pub(super) fn refused(found: impl fmt::Display, allowed: impl fmt::Display) -> Self {
        Self::Refused { found: found.to_string(), allowed: allowed.to_string() }
    }

    pub(super) fn at(self, key: KeyPath) -> Violation {
        Violation { keys: vec![key], problem: self }
    }

    pub(super) const fn between(self, keys: Vec<KeyPath>) -> Violation {
        Violation { keys, problem: self }
    }
}

/// A problem with the keys that cause it, the most relevant one first.
#[derive(Debug)]
pub(super) struct Violation {
    pub(super) keys: Vec<KeyPath>,
    pub(super) problem: Problem,
}

impl From<Violation> for ConfigError {
    fn from(violation: Violation) -> Self {
        let Violation { keys, problem } = violation;
        Self::InProgram { key: keys.into_iter().next().unwrap_or_default(), problem }
    }
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map(|key| format!(" (did you mean `{key}`?)")).unwrap_or_default()
}

fn list(keys: &[&str]) -> String {
    keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_characters_from_one() {
        let text = "a = 1\nb = \"ä\" # x\r\nc";
        let location = |offset| Location::at(Path::new("f"), text, offset).to_string();
        assert_eq!(location(0), "f:1:1");
        assert_eq!(location(5), "f:1:6");
        assert_eq!(location(6), "f:2:1");
        // `ä` is two bytes and one column; an offset inside it means its start.
        assert_eq!(location(12), "f:2:6");
        assert_eq!(location(13), "f:2:7");
        assert_eq!(location(usize::MAX), "f:3:2");
    }
}
