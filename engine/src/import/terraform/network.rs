//! Interfaces, instances, VPCs and subnets, as resources and as data sources.

use super::mirror::label;
use super::resource::{Reader, Resource};
use crate::import::error::ImportError;
use crate::import::interface::{MirrorInterface, in_order};
use crate::import::item::Item;
use crate::import::model::Mirror;
use crate::import::values::{address, mac, prefix, vpc_prefix};

/// Returns the reader of a type of resources.
pub(super) fn reader(kind: &str) -> Option<Reader> {
    Some(match kind {
        "aws_network_interface" | "awscc_ec2_network_interface" => interface,
        "aws_instance" | "aws_spot_instance_request" => instance,
        "aws_vpc" | "aws_default_vpc" | "awscc_ec2_vpc" => vpc,
        "aws_vpc_ipv4_cidr_block_association" | "awscc_ec2_vpc_cidr_block" => vpc_block,
        "aws_subnet" | "aws_default_subnet" | "awscc_ec2_subnet" => subnet,
        _ => return None,
    })
}

fn interface(resource: &Resource<'_>, mirror: &mut Mirror) -> Result<(), ImportError> {
    let interface = described(&resource.values, resource.id.clone())?;
    mirror.interfaces.push(interface);
    Ok(())
}

/// Reads the primary interface of an instance; a description of its own takes precedence. The
/// identifier has one name in the resource and another one in the data source.
fn instance(resource: &Resource<'_>, mirror: &mut Mirror) -> Result<(), ImportError> {
    for key in ["primary_network_interface_id", "network_interface_id"] {
        if let Some(id) = resource.values.optional_string(key)? {
            let interface = described(&resource.values, id)?;
            mirror.instance_interfaces.push(interface);
            break;
        }
    }
    Ok(())
}

fn described(values: &Item<'_>, id: String) -> Result<MirrorInterface, ImportError> {
    let mut assumptions = Vec::new();
    let mut primary = None;
    for key in ["private_ip", "primary_private_ip_address", "private_ip_address"] {
        if primary.is_none() {
            primary = values.get(key)?.map(|item| address(&item)).transpose()?;
        }
    }
    let mut others = Vec::new();
    for (list, key) in [
        ("private_ips", ""),
        ("secondary_private_ips", ""),
        ("ipv6_addresses", ""),
        ("private_ip_addresses", "private_ip_address"),
        ("ipv_6_addresses", "ipv_6_address"),
    ] {
        for element in values.list(list)? {
            others.push(address(&member(element, key)?)?.into());
        }
    }
    for (list, key) in [
        ("ipv4_prefixes", ""),
        ("ipv6_prefixes", ""),
        ("ipv_4_prefixes", "ipv_4_prefix"),
        ("ipv_6_prefixes", "ipv_6_prefix"),
    ] {
        for element in values.list(list)? {
            others.push(prefix(&member(element, key)?, &mut assumptions)?);
        }
    }
    assumptions.sort();
    Ok(MirrorInterface {
        id,
        place: values.place(),
        label: label(values)?,
        mac: mac(values, "mac_address")?,
        primary,
        addresses: in_order(primary, others),
        vpc: values.optional_string("vpc_id")?,
        subnet: values.optional_string("subnet_id")?,
        assumptions,
    })
}

/// Returns a property of an element, or the element itself if the key is empty.
fn member<'v>(element: Item<'v>, key: &str) -> Result<Item<'v>, ImportError> {
    if key.is_empty() { Ok(element) } else { element.required(key) }
}

/// Reads the prefixes that are in force; the data source lists them with their states.
fn vpc(resource: &Resource<'_>, mirror: &mut Mirror) -> Result<(), ImportError> {
    let Resource { id, values, .. } = resource;
    let mut blocks: Vec<_> = values.get("cidr_block")?.into_iter().collect();
    // In hashicorp/awscc the associations are identifiers.
    let associations = values.list("cidr_block_associations")?;
    for association in associations.iter().filter(|it| it.value().is_object()) {
        let Some(block) = association.get("cidr_block")? else { continue };
        let state = association.optional_string("state")?;
        blocks.retain(|other| other.value() != block.value());
        if state.is_none_or(|state| state == "associated") {
            blocks.push(block);
        }
    }
    for block in blocks {
        mirror.add_vpc_prefix(id, vpc_prefix(&block)?, &[]);
    }
    Ok(())
}

fn vpc_block(resource: &Resource<'_>, mirror: &mut Mirror) -> Result<(), ImportError> {
    let values = &resource.values;
    if let (Some(vpc), Some(block)) = (values.optional_string("vpc_id")?, values.get("cidr_block")?)
    {
        mirror.add_vpc_prefix(&vpc, vpc_prefix(&block)?, &[]);
    }
    Ok(())
}

fn subnet(resource: &Resource<'_>, mirror: &mut Mirror) -> Result<(), ImportError> {
    if let Some(vpc) = resource.values.optional_string("vpc_id")? {
        mirror.subnets.insert(resource.id.clone(), vpc);
    }
    Ok(())
}
