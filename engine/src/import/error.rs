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

/// The text as it may stand in a sentence: names come from the input, and may have anything in them.
pub(super) fn one_line(text: impl fmt::Display) -> String {
    let text = text.to_string();
    if !text.contains(char::is_control) {
        return text;
    }
    let escaped = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escaped).collect()
}
