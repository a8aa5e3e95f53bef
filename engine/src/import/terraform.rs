//! Reader of the output of `terraform show -json`, of a state or a plan.
//!
//! Resource types and attributes: the documentation of hashicorp/aws, `ec2_traffic_mirror_*` and
//! `network_interface`. Layout:
//! <https://developer.hashicorp.com/terraform/internals/json-format>.

use serde_json::Value;

use super::item::Item;
use super::model::{Mirror, MirrorFilter, MirrorInterface, MirrorSession, MirrorTarget, in_order};
use super::values::{self, RuleKeys, address, prefix, rule};
use super::{ImportError, Input, json_error, text};

const RULE: RuleKeys = RuleKeys {
    direction: "traffic_direction",
    number: "rule_number",
    action: "rule_action",
    protocol: "protocol",
    source: "source_cidr_block",
    destination: "destination_cidr_block",
    source_ports: "source_port_range",
    destination_ports: "destination_port_range",
    from: "from_port",
    to: "to_port",
    label: "description",
};

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
            serde_json::from_str(text).map_err(|error| json_error(&input.name, &error))?;
        let document = Item::new(&input.name, &document, String::new());
        module(&root_module(&document)?, Mode::Any, &mut mirror)?;
        // Data sources that a plan has already read, such as interfaces that are managed elsewhere,
        // are in its prior state.
        if document.get("values")?.is_none()
            && let Some(values) =
                document.get("prior_state")?.map_or(Ok(None), |prior| prior.get("values"))?
        {
            module(&values.required("root_module")?, Mode::Data, &mut mirror)?;
        }
    }
    mirror.merged()
}

/// Selection of the resources of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Any,
    /// Data sources only.
    Data,
}

/// Returns the root module of a state, or of the planned state.
fn root_module<'v>(document: &Item<'v>) -> Result<Item<'v>, ImportError> {
    let values = match (document.get("values")?, document.get("planned_values")?) {
        (Some(values), _) | (None, Some(values)) => values,
        (None, None) if document.get("lineage")?.is_some() || document.get("serial")?.is_some() => {
            let message = "a state file as Terraform keeps it: `terraform show -json` prints what is read here";
            return Err(ImportError::format(document.file(), message));
        }
        (None, None) => {
            let message =
                "neither values nor planned_values: not what `terraform show -json` prints";
            return Err(ImportError::format(document.file(), message));
        }
    };
    values.required("root_module")
}

/// Reads a module and, recursively, its child modules; the JSON reader limits the depth.
fn module(module: &Item<'_>, mode: Mode, mirror: &mut Mirror) -> Result<(), ImportError> {
    for item in module.list("resources")? {
        if mode == Mode::Any || item.get("mode")?.is_some_and(|mode| mode.value() == "data") {
            resource(&item, mirror)?;
        }
    }
    for child in module.list("child_modules")? {
        self::module(&child, mode, mirror)?;
    }
    Ok(())
}

fn resource(item: &Item<'_>, mirror: &mut Mirror) -> Result<(), ImportError> {
    let read = match item.id("type")?.as_str() {
        "aws_ec2_traffic_mirror_filter" => filter,
        "aws_ec2_traffic_mirror_filter_rule" => filter_rule,
        "aws_ec2_traffic_mirror_session" => session,
        "aws_ec2_traffic_mirror_target" => target,
        "aws_network_interface" => interface,
        _ => return Ok(()),
    };
    let address = item.id("address")?;
    let values = item.required("values")?;
    // The address is shorter and clearer than the path.
    let values = Item::new(item.file(), values.value(), address.clone());
    read(&values, &Resource { address: &address }, mirror)
}

/// Address of a resource, for identifiers and messages.
struct Resource<'v> {
    address: &'v str,
}

impl Resource<'_> {
    /// Returns the identifier that others refer to; the address if the resource is not created yet.
    fn id(&self, values: &Item<'_>) -> Result<String, ImportError> {
        Ok(values.optional_string("id")?.unwrap_or_else(|| self.address.to_owned()))
    }

    /// Leaves out a resource whose reference is unknown in a plan.
    fn leave_out(&self, key: &str, mirror: &mut Mirror) {
        mirror.left_out.push(format!(
            "{}: {key} is not known before `terraform apply`; show the state after it",
            self.address
        ));
    }
}

fn filter(
    values: &Item<'_>,
    resource: &Resource<'_>,
    mirror: &mut Mirror,
) -> Result<(), ImportError> {
    mirror.filters.push(MirrorFilter {
        id: resource.id(values)?,
        label: label(values)?,
        amazon_dns: values::has_amazon_dns(&values.list("network_services")?)?,
        assumptions: Vec::new(),
    });
    Ok(())
}

fn filter_rule(
    values: &Item<'_>,
    resource: &Resource<'_>,
    mirror: &mut Mirror,
) -> Result<(), ImportError> {
    const FILTER: &str = "traffic_mirror_filter_id";
    let Some(filter) = values.optional_string(FILTER)? else {
        resource.leave_out(FILTER, mirror);
        return Ok(());
    };
    mirror.rules.push(rule(values, &RULE, &resource.id(values)?, &filter)?);
    Ok(())
}

fn session(
    values: &Item<'_>,
    resource: &Resource<'_>,
    mirror: &mut Mirror,
) -> Result<(), ImportError> {
    let (interface, filter) = ("network_interface_id", "traffic_mirror_filter_id");
    for key in [interface, filter] {
        if values.get(key)?.is_none() {
            resource.leave_out(key, mirror);
            return Ok(());
        }
    }
    let vni = values.get("virtual_network_id")?.map(|item| values::vni(&item)).transpose()?;
    mirror.sessions.push(MirrorSession {
        id: resource.id(values)?,
        label: label(values)?,
        interface: values.id(interface)?,
        filter: values.id(filter)?,
        target: values.optional_string("traffic_mirror_target_id")?,
        number: Some(values::session_number(&values.required("session_number")?)?),
        packet_length: values
            .get("packet_length")?
            .map_or(Ok(None), |item| values::packet_length(&item))?,
        // Terraform writes 0 for what is not set.
        vni: vni.filter(|&vni| vni != 0),
        assumptions: Vec::new(),
    });
    Ok(())
}

fn target(
    values: &Item<'_>,
    resource: &Resource<'_>,
    mirror: &mut Mirror,
) -> Result<(), ImportError> {
    for key in
        ["network_interface_id", "network_load_balancer_arn", "gateway_load_balancer_endpoint_id"]
    {
        if let Some(destination) = values.optional_string(key)? {
            mirror.targets.push(MirrorTarget { id: resource.id(values)?, destination });
            break;
        }
    }
    Ok(())
}

fn interface(
    values: &Item<'_>,
    resource: &Resource<'_>,
    mirror: &mut Mirror,
) -> Result<(), ImportError> {
    let mut assumptions = Vec::new();
    let primary = values.get("private_ip")?.map(|item| address(&item)).transpose()?;
    let mut others = Vec::new();
    for list in ["private_ips", "ipv6_addresses"] {
        for element in values.list(list)? {
            others.push(address(&element)?.into());
        }
    }
    for list in ["ipv4_prefixes", "ipv6_prefixes"] {
        for element in values.list(list)? {
            others.push(prefix(&element, &mut assumptions)?);
        }
    }
    assumptions.sort();
    mirror.interfaces.push(MirrorInterface {
        id: resource.id(values)?,
        label: label(values)?,
        mac: values
            .get("mac_address")?
            .map(|item| item.parsed("a MAC address such as \"02:aa:bb:cc:dd:01\""))
            .transpose()?,
        primary,
        addresses: in_order(primary, others),
        vpc: None,
        assumptions,
    });
    Ok(())
}

/// Returns the tag `Name`, else the description.
fn label(values: &Item<'_>) -> Result<Option<String>, ImportError> {
    if let Some(tags) = values.get("tags")?
        && let Some(name) = tags.optional_string("Name")?
    {
        return Ok(Some(name));
    }
    values.optional_string("description")
}
