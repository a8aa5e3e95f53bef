//! Importers: make a configuration from the output of AWS CLI, Terraform and CloudFormation.
//!
//! ```text
//!   aws | terraform | cloudformation ── Mirror ── assemble ── write ── TOML, and a report of what was left out
//! ```
//!
//! Each reader fills the same model; the code for values that they share is in `item` and `values`.
//! The result has been checked with [`crate::Config::from_toml`].

mod assemble;
mod aws;
mod cloudformation;
mod error;
mod item;
mod model;
mod terraform;
mod values;
mod write;

use std::path::Path;

pub use error::ImportError;

use crate::config::Config;
use model::Mirror;

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

/// Selection of sessions.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only sessions that send to this target: its id, or the id or ARN of the interface, load
    /// balancer or endpoint behind it.
    pub target: Option<String>,
}

/// Result of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Text of a valid configuration.
    pub toml: String,
    /// Parts of the input that are not in the configuration, one sentence each.
    pub left_out: Vec<String>,
}

/// Reads output of the AWS CLI: any of `describe-traffic-mirror-filters`, `-filter-rules`,
/// `-sessions`, `-targets`, `describe-network-interfaces` and `describe-vpcs`, in any order, each
/// file with one or more JSON documents.
///
/// # Errors
///
/// [`ImportError`] for the first error found.
pub fn aws(inputs: &[Input], options: &Options) -> Result<Imported, ImportError> {
    finish("aws", inputs, aws::read(inputs)?, options)
}

/// Reads output of `terraform show -json`, of a state or a plan.
///
/// # Errors
///
/// [`ImportError`] for the first error found.
pub fn terraform(inputs: &[Input], options: &Options) -> Result<Imported, ImportError> {
    finish("terraform", inputs, terraform::read(inputs)?, options)
}

/// Reads CloudFormation templates, YAML or JSON, whose mirror properties are literal values,
/// references to resources of the template, or to parameters with a default.
///
/// # Errors
///
/// [`ImportError`] for the first error found.
pub fn cloudformation(inputs: &[Input], options: &Options) -> Result<Imported, ImportError> {
    finish("cloudformation", inputs, cloudformation::read(inputs)?, options)
}

fn finish(
    command: &str,
    inputs: &[Input],
    mirror: Mirror,
    options: &Options,
) -> Result<Imported, ImportError> {
    let assembled = assemble::assemble(mirror, options)?;
    let toml = write::toml(command, inputs, &assembled);
    // Limits of the configuration, such as the length of names, give the configuration's own error.
    Config::from_toml(Path::new("the configuration"), &toml).map_err(ImportError::whole)?;
    Ok(Imported { toml, left_out: assembled.left_out.iter().map(error::one_line).collect() })
}

/// Returns the text of an input, without a byte order mark.
fn text(input: &Input) -> Result<&str, ImportError> {
    let text = str::from_utf8(&input.bytes).map_err(|error| {
        let message = format!("byte {} is not UTF-8 text", error.valid_up_to() + 1);
        ImportError::format(&input.name, message)
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        Err(ImportError::format(&input.name, "the file is empty"))
    } else {
        Ok(text)
    }
}

/// Converts an error of `serde_json`; drops the position that its text repeats.
fn json_error(file: &str, error: &serde_json::Error) -> ImportError {
    let (text, line, column) = (error.to_string(), error.line(), error.column());
    let what = match text.split(" at line ").next().unwrap_or(&text) {
        // The limit of `serde_json` is 127 levels; AWS's tools print twenty at most.
        "recursion limit exceeded" => "too many lists and objects inside each other".to_owned(),
        what => format!("not JSON: {what}"),
    };
    ImportError::format(file, format_args!("line {line}, column {column}: {what}"))
}
