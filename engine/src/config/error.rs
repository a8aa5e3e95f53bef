//! What is wrong with a configuration, and where.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::key::KeyPath;

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("{place}: {message}")]
    Syntax {
        /// Where the parser stopped.
        place: Place,
        /// What it found and what it expected.
        message: String,
    },
    /// A key of the file is unknown, missing, or has a value that is not allowed.
    #[error("{place}: {key}: {problem}")]
    InFile {
        /// Where the value stands; for a contradiction between several values, the later one.
        place: Place,
        /// The key of that value.
        key: KeyPath,
        /// What was found and what is allowed.
        problem: Problem,
    },
    /// A value of a configuration built by a program is not allowed.
    #[error("{key}: {problem}")]
    InProgram {
        /// The key that the value has in a file.
        key: KeyPath,
        /// What was found and what is allowed.
        problem: Problem,
    },
}

/// A position in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl Place {
    /// Returns the place of the byte at `offset`; an offset past the end means the end.
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

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.path.display(), self.line, self.column)
    }
}

/// What was found at a key, and what is allowed there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// No such key.
    #[error("unknown key{}; allowed here are {}", did_you_mean(*suggestion), list(allowed))]
    UnknownKey {
        /// A key that is spelled nearly the same.
        suggestion: Option<&'static str>,
        /// All keys that may stand here.
        allowed: &'static [&'static str],
    },
    /// A required key is absent.
    #[error("missing; allowed is {allowed}")]
    Missing {
        /// What has to be written.
        allowed: String,
    },
    /// A value of the wrong type or outside its limits.
    #[error("found {found}, allowed is {allowed}")]
    Refused {
        /// The value.
        found: String,
        /// The values that are allowed.
        allowed: String,
    },
    /// A value that may stand only once.
    #[error("found {found} again, after {first}; allowed is each one once")]
    Repeated {
        /// The value.
        found: String,
        /// Where it stands first.
        first: KeyPath,
    },
    /// A list with too many entries.
    #[error("found {found} {things}, allowed are {max} at most")]
    TooMany {
        /// Number of entries.
        found: usize,
        /// What they are.
        things: &'static str,
        /// The highest number allowed.
        max: u32,
    },
    /// Fewer CPUs than queues.
    #[error(
        "found too few CPUs ({cpus} for {queues} queues); allowed is one for each queue of capture.queues, or \"auto\""
    )]
    TooFewCpus {
        /// Length of `workers.cpus`.
        cpus: usize,
        /// Length of `capture.queues`.
        queues: usize,
    },
    /// A memory budget that the rings exceed.
    #[error(
        "found memory.per_queue_mib = {per_queue_mib} for chunks of {chunk_size} bytes (fill ring {fill_ring}, \
         RX ring {rx_ring}, batch {batch}, output rings {outputs} x {output_ring_len}); allowed is {needed_mib} or more"
    )]
    MemoryTooSmall {
        /// The budget.
        per_queue_mib: u32,
        /// Entries of the fill ring.
        fill_ring: u32,
        /// Entries of the RX ring.
        rx_ring: u32,
        /// Frames in a worker's hands.
        batch: u32,
        /// Number of outputs.
        outputs: usize,
        /// Entries of each output ring: the configured number, or the lowest possible one.
        output_ring_len: u32,
        /// Bytes of a chunk.
        chunk_size: u32,
        /// The lowest budget that suffices.
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

/// A problem with the keys that take part in it, the most telling one first.
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
        let place = |offset| Place::at(Path::new("f"), text, offset).to_string();
        assert_eq!(place(0), "f:1:1");
        assert_eq!(place(5), "f:1:6");
        assert_eq!(place(6), "f:2:1");
        // `ä` is two bytes and one column; an offset inside it is its start.
        assert_eq!(place(12), "f:2:6");
        assert_eq!(place(13), "f:2:7");
        assert_eq!(place(usize::MAX), "f:3:2");
    }
}
