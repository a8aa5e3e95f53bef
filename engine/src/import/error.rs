//! Errors of the importers.

use std::fmt;

/// Error of an import, which then has no result. Each is one sentence with the file and the
/// position in it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// The file does not have the expected format.
    #[error("{file}: {message}")]
    Format {
        /// The file.
        file: String,
        /// Error and position.
        message: String,
    },
    /// A value is missing, of the wrong type, or not allowed.
    #[error("{file}: {path}: {message}")]
    Value {
        /// The file.
        file: String,
        /// Path of the object and its property.
        path: String,
        /// Value found and values expected.
        message: String,
    },
    /// The inputs together do not make a configuration.
    #[error("{message}")]
    Whole {
        /// Description of the error.
        message: String,
    },
    /// The inputs were read, and neither a session nor a filter came of them.
    #[error("{message}")]
    Nothing {
        /// Description of what the inputs have instead.
        message: String,
        /// Parts of the input that were left out, one sentence each.
        left_out: Vec<String>,
        /// Parts of the input that were taken otherwise than the input has them, one sentence each.
        notes: Vec<String>,
    },
}

impl ImportError {
    pub(super) fn format(file: &str, message: impl fmt::Display) -> Self {
        Self::Format { file: one_line(file), message: one_line(message) }
    }

    pub(super) fn value(file: &str, path: &str, message: impl fmt::Display) -> Self {
        Self::Value { file: one_line(file), path: one_line(path), message: one_line(message) }
    }

    pub(super) fn whole(message: impl fmt::Display) -> Self {
        Self::Whole { message: one_line(message) }
    }
}

/// Escapes control characters of the input, which could end the line or control a terminal.
pub(super) fn one_line(text: impl fmt::Display) -> String {
    let mut line = String::new();
    for c in text.to_string().chars() {
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}
