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
mod input;
mod interface;
mod item;
mod left_out;
mod model;
mod sessions;
mod target;
mod terraform;
mod values;
mod vpc;
mod write;

use std::path::Path;

pub use error::ImportError;
pub use input::{INPUT_BYTES_MAX, Input};
pub use target::Options;

use crate::config::{Config, ConfigError};
use assemble::Assembled;
use model::Mirror;
use write::Written;

/// Maximum number of objects that are left out because the configuration refuses them. An input
/// with more of them is refused: each is found by a check of the whole configuration.
const REFUSED_MAX: usize = 100;

/// Result of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Text of a valid configuration.
    pub toml: String,
    /// Parts of the input that are not in the configuration, one sentence each.
    pub left_out: Vec<String>,
    /// Parts of the configuration that are not as the input has them, one sentence each.
    pub notes: Vec<String>,
}

/// Reads output of the AWS CLI: any of `describe-traffic-mirror-filters`, `-filter-rules`,
/// `-sessions`, `-targets`, `describe-network-interfaces`, `-instances`, `-vpcs` and `-subnets`,
/// and of the commands that create or modify these objects, in any order, each file with one or
/// more JSON documents.
///
/// # Errors
///
/// [`ImportError`] if an input cannot be read, or nothing of a mirror is in it. Single objects that
/// cannot be read are left out.
pub fn aws(inputs: &[Input], options: &Options) -> Result<Imported, ImportError> {
    const SOURCE: Source = Source {
        command: "aws",
        mirror_objects: aws::MIRROR_LISTS,
        dns_remedy: "add the output of `aws ec2 describe-vpcs` to the input",
    };
    finish(&SOURCE, inputs, aws::read(inputs)?, options)
}

/// Reads output of `terraform show -json` or `tofu show -json`, of a state or a plan.
///
/// # Errors
///
/// As for [`aws()`].
pub fn terraform(inputs: &[Input], options: &Options) -> Result<Imported, ImportError> {
    const SOURCE: Source = Source {
        command: "terraform",
        mirror_objects: terraform::MIRROR_RESOURCES,
        dns_remedy: "add a state with the VPC and the subnet as resources or data sources",
    };
    finish(&SOURCE, inputs, terraform::read(inputs)?, options)
}

/// Reads CloudFormation templates, YAML or JSON, as far as the template alone determines the
/// properties of the mirror. Parameters are taken at their defaults, which is noted.
///
/// # Errors
///
/// As for [`aws()`].
pub fn cloudformation(inputs: &[Input], options: &Options) -> Result<Imported, ImportError> {
    const SOURCE: Source = Source {
        command: "cloudformation",
        mirror_objects: cloudformation::MIRROR_RESOURCES,
        dns_remedy: "set vpc_prefixes in its [[eni]]",
    };
    finish(&SOURCE, inputs, cloudformation::read(inputs)?, options)
}

/// Words of a source for messages.
struct Source {
    /// Name of the subcommand.
    command: &'static str,
    /// Objects that make a mirror.
    mirror_objects: &'static str,
    /// Remedy for a DNS server that is not known.
    dns_remedy: &'static str,
}

fn finish(
    source: &Source,
    inputs: &[Input],
    mut mirror: Mirror,
    options: &Options,
) -> Result<Imported, ImportError> {
    let mut refused = 0;
    loop {
        let assembled = assemble::assemble(mirror.clone(), options, source.dns_remedy)?;
        if assembled.sessions.is_empty() && assembled.filters.is_empty() {
            return Err(nothing(source, inputs, &mirror, assembled));
        }
        let written = write::toml(source.command, inputs, &assembled);
        let config = Config::from_toml(Path::new("the configuration"), &written.toml);
        let Err(error) = config else {
            let Assembled { left_out, notes, .. } = assembled;
            return Ok(Imported { toml: written.toml, left_out, notes });
        };
        leave_out_refused(&mut mirror, &written, error, refused)?;
        refused += 1;
    }
}

/// Leaves out the object that the configuration refuses, for its own limits, such as the length of
/// a name.
fn leave_out_refused(
    mirror: &mut Mirror,
    written: &Written,
    error: ConfigError,
    refused: usize,
) -> Result<(), ImportError> {
    let ConfigError::InFile { location, key, problem } = error else {
        return Err(ImportError::whole(error));
    };
    let Some((object, place)) = written.at_line(location.line) else {
        return Err(ImportError::whole(format_args!("{key}: {problem}")));
    };
    let key = key.to_string();
    let reason = format!("{place}: {}: {problem}", key.rsplit('.').next().unwrap_or(&key));
    if refused >= REFUSED_MAX {
        return Err(ImportError::whole(format_args!(
            "{reason}; {REFUSED_MAX} objects before it cannot be used either"
        )));
    }
    mirror.remove(object, reason);
    Ok(())
}

/// Returns the error for inputs of which neither a session nor a filter is left.
fn nothing(
    source: &Source,
    inputs: &[Input],
    mirror: &Mirror,
    assembled: Assembled,
) -> ImportError {
    let files: Vec<_> = inputs.iter().map(|input| input.name.as_str()).collect();
    let files = files.join(", ");
    let message = if mirror.seen.has_mirror {
        format!("{files}: no session and no filter of a traffic mirror can be used")
    } else {
        let (seen, objects) = (mirror.seen.describe(), source.mirror_objects);
        format!("{files}: no traffic mirror; found {seen}; a mirror has {objects}")
    };
    let Assembled { left_out, notes, .. } = assembled;
    ImportError::Nothing { message: error::one_line(message), left_out, notes }
}
