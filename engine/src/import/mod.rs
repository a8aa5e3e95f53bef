//! From what AWS's own tools say about a mirror to a configuration.
//!
//! ```text
//!   aws | terraform | cloudformation ── Mirror ── assemble ── write ── TOML, and a report of what was left out
//! ```
//!
//! Each reader fills the same model; what they share of reading values is in `item` and `values`.
//! The text that comes out is one that [`crate::Config::from_toml`] accepts: it has been tried.

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

/// Longest input in bytes: guards against being pointed at a device or a capture.
pub const INPUT_BYTES_MAX: u64 = 256 << 20;

/// A file that was read.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its name, for messages.
    pub name: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// What to take of it.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only sessions that send to this target: its id, or the id or ARN of the interface, load
    /// balancer or endpoint behind it.
    pub target: Option<String>,
}

/// A configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Its text, valid.
    pub toml: String,
    /// What the input has and the configuration has not, a sentence each.
    pub left_out: Vec<String>,
}

/// Reads what the AWS CLI printed: any of `describe-traffic-mirror-filters`, `-filter-rules`,
/// `-sessions`, `-targets`, `describe-network-interfaces` and `describe-vpcs`, in any order, each
/// file with one or more JSON documents.
///
/// # Errors
///
/// [`ImportError`] for the first thing that is wrong.
pub fn aws(inputs: &[Input], options: &Options) -> Result<Imported, ImportError> {
    finish("aws", inputs, aws::read(inputs)?, options)
}

/// Reads what `terraform show -json` printed, of a state or a plan.
///
/// # Errors
///
/// [`ImportError`] for the first thing that is wrong.
pub fn terraform(inputs: &[Input], options: &Options) -> Result<Imported, ImportError> {
    finish("terraform", inputs, terraform::read(inputs)?, options)
}

/// Reads CloudFormation templates, YAML or JSON, in which everything of the mirror is a literal
/// value, a reference to a resource of the template, or to a parameter with a default.
///
/// # Errors
///
/// [`ImportError`] for the first thing that is wrong.
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
    // What a configuration may not be, an identifier of 300 bytes for example, is said as the
    // configuration says it.
    Config::from_toml(Path::new("the configuration"), &toml).map_err(ImportError::whole)?;
    Ok(Imported { toml, left_out: assembled.left_out.iter().map(error::one_line).collect() })
}

/// The text of an input, without a byte order mark.
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

/// What `serde_json` says, without the place that it repeats.
fn json_error(file: &str, error: &serde_json::Error) -> ImportError {
    let (text, line, column) = (error.to_string(), error.line(), error.column());
    let what = match text.split(" at line ").next().unwrap_or(&text) {
        // It follows 127 of them. What AWS's tools print has twenty at most.
        "recursion limit exceeded" => "too many lists and objects inside each other".to_owned(),
        what => format!("not JSON: {what}"),
    };
    ImportError::format(file, format_args!("line {line}, column {column}: {what}"))
}
