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
        Self::Format { file: file.to_owned(), message: message.to_string() }
    }

    pub(super) fn whole(message: impl fmt::Display) -> Self {
        Self::Whole { message: message.to_string() }
    }
}
