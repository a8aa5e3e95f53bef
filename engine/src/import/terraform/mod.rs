//! Reader of the output of `terraform show -json`, of a state or a plan. `tofu` prints the same.
//!
//! Layout: <https://developer.hashicorp.com/terraform/internals/json-format>.

mod mirror;
mod network;
mod resource;

use std::collections::HashMap;

use serde_json::Value;

use super::error::ImportError;
use super::input::{Input, json_error, text};
use super::item::Item;
use super::left_out::Class;
use super::model::Mirror;
use resource::Resource;

/// Resource types that belong to a mirror, for messages.
pub(super) const MIRROR_RESOURCES: &str = "aws_ec2_traffic_mirror_filter, _filter_rule, _session \
                                           and _target, or the same of awscc";

pub(super) fn read(inputs: &[Input]) -> Result<Mirror, ImportError> {
    let mut mirror = Mirror::default();
    for input in inputs {
        let text = text(input)?;
        if !text.trim_start().starts_with('{') {
            let message =
                "not a JSON object, which `terraform show -json` prints; .tf files are not read";
            return Err(ImportError::format(&input.name, message));
        }
        let document: Value =
            serde_json::from_str(&text).map_err(|error| not_shown(&input.name, &text, &error))?;
        let document = Item::new(&input.name, &document, String::new());
        let unknown = unknown_values(&document)?;
        if let Some(root) = root_module(&document)? {
            module(&root, Mode::Any, &unknown, &mut mirror)?;
        }
        // Data sources that a plan has already read, such as interfaces that are managed elsewhere,
        // are in its prior state.
        if document.get("values")?.is_none()
            && let Some(values) =
                document.get("prior_state")?.map_or(Ok(None), |prior| prior.get("values"))?
        {
            module(&values.required("root_module")?, Mode::Data, &unknown, &mut mirror)?;
        }
    }
    Ok(mirror.merged())
}

/// Returns the error for a text that is not one JSON document.
fn not_shown(file: &str, text: &str, error: &serde_json::Error) -> ImportError {
    if text.lines().next().is_some_and(|line| line.contains("\"@level\"")) {
        let message = "the log that `terraform plan -json` prints; `terraform show -json PLANFILE` prints what is read here";
        return ImportError::format(file, message);
    }
    json_error(file, error)
}

/// Attributes that a plan does not know yet, by the address of the resource: `after_unknown` of its
/// changes, an object with `true` for each of them.
type Unknown<'v> = HashMap<&'v str, &'v Value>;

fn unknown_values<'v>(document: &Item<'v>) -> Result<Unknown<'v>, ImportError> {
    let mut unknown = Unknown::new();
    for change in document.list("resource_changes")? {
        if change.get("deposed")?.is_some() {
            continue;
        }
        let after = change.required("change")?.get("after_unknown")?;
        if let Some(after) = after {
            unknown.insert(change.required("address")?.string()?, after.value());
        }
    }
    Ok(unknown)
}

/// Selection of the resources of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Any,
    /// Data sources only.
    Data,
}

/// Returns the root module of a state, or of the planned state; none of an empty state.
fn root_module<'v>(document: &Item<'v>) -> Result<Option<Item<'v>>, ImportError> {
    let values = match (document.get("values")?, document.get("planned_values")?) {
        (Some(values), _) | (None, Some(values)) => values,
        (None, None) if document.get("lineage")?.is_some() || document.get("serial")?.is_some() => {
            let message = "a state file as Terraform keeps it: `terraform show -json` prints what is read here";
            return Err(ImportError::format(document.file(), message));
        }
        (None, None) if document.get("format_version")?.is_some() => return Ok(None),
        (None, None) => {
            let message =
                "neither values nor planned_values: not what `terraform show -json` prints";
            return Err(ImportError::format(document.file(), message));
        }
    };
    values.required("root_module").map(Some)
}

/// Reads a module and, recursively, its child modules; the JSON reader limits the depth.
fn module(
    module: &Item<'_>,
    mode: Mode,
    unknown: &Unknown<'_>,
    mirror: &mut Mirror,
) -> Result<(), ImportError> {
    for item in module.list("resources")? {
        if mode == Mode::Any || item.word_of("mode") == Some("data") {
            resource(&item, unknown, mirror);
        }
    }
    for child in module.list("child_modules")? {
        self::module(&child, mode, unknown, mirror)?;
    }
    Ok(())
}

/// Reads a resource, or leaves it out.
fn resource(item: &Item<'_>, unknown: &Unknown<'_>, mirror: &mut Mirror) {
    if let Err(error) = try_resource(item, unknown, mirror) {
        mirror::leave_out(item, error, mirror);
    }
}

fn try_resource(
    item: &Item<'_>,
    unknown: &Unknown<'_>,
    mirror: &mut Mirror,
) -> Result<(), ImportError> {
    let kind = item.id("type")?;
    let (class, reader) = match mirror::reader(&kind) {
        Some((class, reader)) => (class, Some(reader)),
        None => (Class::Other, network::reader(&kind)),
    };
    mirror.seen.count(&kind, 1, class.is_mirror());
    let Some(reader) = reader else { return Ok(()) };
    let address = item.id("address")?;
    if let Some(key) = item.optional_string("deposed_key")? {
        let message =
            format!("a deposed object ({key}), which was replaced and is going to be destroyed");
        return Err(ImportError::value(item.file(), &address, message));
    }
    let values = item.required("values")?;
    // The address is shorter and clearer than the path.
    let values = Item::new(item.file(), values.value(), address.clone());
    let id = values.optional_string("id")?.unwrap_or_else(|| address.clone());
    let unknown = unknown.get(address.as_str()).copied();
    (reader)(&Resource { id, values, unknown }, mirror)
}
