//! Interfaces, instances, VPCs and subnets of the AWS CLI's output.

use super::mirror::label;
use crate::import::error::ImportError;
use crate::import::interface::{MirrorInterface, in_order};
use crate::import::item::Item;
use crate::import::model::Mirror;
use crate::import::values::{address, mac, prefix, vpc_prefix};

pub(super) fn interface(item: &Item<'_>, mirror: &mut Mirror) -> Result<(), ImportError> {
    let id = item.id("NetworkInterfaceId")?;
    let item = item.clone().named(&id);
    let label = label(&item, "TagSet")?;
    mirror.interfaces.push(described(&item, id, label)?);
    Ok(())
}

pub(super) fn reservation(item: &Item<'_>, mirror: &mut Mirror) -> Result<(), ImportError> {
    item.list("Instances")?.iter().try_for_each(|item| instance(item, mirror))
}

/// Reads the interfaces of an instance; a description of its own takes precedence.
pub(super) fn instance(item: &Item<'_>, mirror: &mut Mirror) -> Result<(), ImportError> {
    let item = item.clone().named_by("InstanceId");
    let label = label(&item, "Tags")?;
    for interface in item.list("NetworkInterfaces")? {
        let id = interface.id("NetworkInterfaceId")?;
        let interface = described(&interface.named(&id), id, label.clone())?;
        mirror.instance_interfaces.push(interface);
    }
    Ok(())
}

fn described(
    item: &Item<'_>,
    id: String,
    label: Option<String>,
) -> Result<MirrorInterface, ImportError> {
    let mut assumptions = Vec::new();
    let primary = item.get("PrivateIpAddress")?.map(|item| address(&item)).transpose()?;
    let mut others = Vec::new();
    for (list, key) in
        [("PrivateIpAddresses", "PrivateIpAddress"), ("Ipv6Addresses", "Ipv6Address")]
    {
        for element in item.list(list)? {
            others.push(address(&element.required(key)?)?.into());
        }
    }
    for (list, key) in [("Ipv4Prefixes", "Ipv4Prefix"), ("Ipv6Prefixes", "Ipv6Prefix")] {
        for element in item.list(list)? {
            others.push(prefix(&element.required(key)?, &mut assumptions)?);
        }
    }
    assumptions.sort();
    Ok(MirrorInterface {
        id,
        place: item.place(),
        label,
        mac: mac(item, "MacAddress")?,
        primary,
        addresses: in_order(primary, others),
        vpc: item.optional_string("VpcId")?,
        subnet: item.optional_string("SubnetId")?,
        assumptions,
    })
}

/// Reads the prefixes that are in force.
pub(super) fn vpc(item: &Item<'_>, mirror: &mut Mirror) -> Result<(), ImportError> {
    let id = item.id("VpcId")?;
    let item = item.clone().named(&id);
    let mut blocks: Vec<_> = item.get("CidrBlock")?.into_iter().collect();
    for association in item.list("CidrBlockAssociationSet")? {
        let Some(block) = association.get("CidrBlock")? else { continue };
        let state = association
            .get("CidrBlockState")?
            .map_or(Ok(None), |it| it.optional_string("State"))?;
        blocks.retain(|other| other.value() != block.value());
        if state.is_none_or(|state| state == "associated") {
            blocks.push(block);
        }
    }
    for block in blocks {
        mirror.add_vpc_prefix(&id, vpc_prefix(&block)?, &[]);
    }
    Ok(())
}

pub(super) fn subnet(item: &Item<'_>, mirror: &mut Mirror) -> Result<(), ImportError> {
    let (subnet, vpc) = (item.id("SubnetId")?, item.id("VpcId")?);
    mirror.subnets.insert(subnet, vpc);
    Ok(())
}
