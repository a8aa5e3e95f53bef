//! Why a description of a mirror cannot be read.

use std::fmt;

/// Why nothing was written. Each is one sentence that names the file and the place in it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// The file is not what its format asks for.
    #[error("{file}: {message}")]
    Format {
        /// The file.
        file: String,
        /// What is wrong, and where.
        message: String,
    },
    /// A value is missing, of the wrong type, or not allowed.
    #[error("{file}: {place}: {message}")]
    Value {
        /// The file.
        file: String,
        /// The object and its property.
        place: String,
        /// What was found, and what is expected.
        message: String,
    },
    /// What was read does not make a configuration.
    #[error("{message}")]
    Whole {
        /// What is wrong.
        message: String,
    },
}

impl ImportError {
    pub(super) fn format(file: &str, message: impl fmt::Display) -> Self {
        Self::Format { file: one_line(file), message: one_line(message) }
    }

    pub(super) fn value(file: &str, place: &str, message: impl fmt::Display) -> Self {
        Self::Value { file: one_line(file), place: one_line(place), message: one_line(message) }
    }

    pub(super) fn whole(message: impl fmt::Display) -> Self {
        Self::Whole { message: one_line(message) }
    }
}

/// A sentence that repeats what others wrote, with escapes for what would end the line or steer a
/// terminal.
pub(super) fn one_line(text: impl fmt::Display) -> String {
    let mut line = String::new();
    for c in text.to_string().chars() {
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}
