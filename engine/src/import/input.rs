//! Inputs and their texts.

use std::borrow::Cow;

use super::error::ImportError;
use crate::config::{NotText, decode};

/// Maximum size of an input in bytes: guards against reading a device or a capture.
pub const INPUT_BYTES_MAX: u64 = 256 << 20;

/// An input file.
#[derive(Clone, Debug)]
pub struct Input {
    /// Name for messages.
    pub name: String,
    /// Content of the file.
    pub bytes: Vec<u8>,
}

/// Returns the text of an input, without a byte order mark.
pub(super) fn text(input: &Input) -> Result<Cow<'_, str>, ImportError> {
    let text = decode(&input.bytes).map_err(|NotText { offset, encoding, .. }| {
        let message = format!("byte {} is not {encoding} text", offset + 1);
        ImportError::format(&input.name, message)
    })?;
    if text.trim().is_empty() {
        Err(ImportError::format(&input.name, "the file is empty"))
    } else {
        Ok(text)
    }
}

/// Converts an error of `serde_json`; drops the position that its text repeats.
pub(super) fn json_error(file: &str, error: &serde_json::Error) -> ImportError {
    let (text, line, column) = (error.to_string(), error.line(), error.column());
    let what = match text.split(" at line ").next().unwrap_or(&text) {
        // The limit of `serde_json` is 127 levels; AWS's tools print twenty at most.
        "recursion limit exceeded" => "too many lists and objects inside each other".to_owned(),
        what => format!("not JSON: {what}"),
    };
    ImportError::format(file, format_args!("line {line}, column {column}: {what}"))
}
