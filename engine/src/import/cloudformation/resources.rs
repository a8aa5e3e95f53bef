//! Readers of the resource types that belong to a mirror or to its interfaces.

use serde_json::Value;

use crate::import::error::ImportError;
use crate::import::interface::{MirrorInterface, in_order};
use crate::import::item::Item;
use crate::import::left_out::Class;
use crate::import::model::{Mirror, MirrorFilter, MirrorTarget};
use crate::import::values::{self, AWS_RULE, AWS_SESSION, address, vpc_prefix};

/// A type of resources.
pub(super) struct Kind {
    /// Properties that are read.
    pub(super) keys: &'static [&'static str],
    /// Those of them that may be unknown without a word.
    pub(super) quiet: &'static [&'static str],
    pub(super) class: Class,
    /// Reads the properties of the resource with the logical name.
    pub(super) read: fn(&Item<'_>, &str, &[String], &mut Mirror) -> Result<(), ImportError>,
}

const RULE: &[&str] = &[
    "TrafficMirrorFilterId",
    "TrafficDirection",
    "RuleNumber",
    "RuleAction",
    "Protocol",
    "SourceCidrBlock",
    "DestinationCidrBlock",
    "SourcePortRange",
    "DestinationPortRange",
];
const SESSION: &[&str] = &[
    "NetworkInterfaceId",
    "TrafficMirrorTargetId",
    "TrafficMirrorFilterId",
    "SessionNumber",
    "PacketLength",
    "VirtualNetworkId",
];
const TARGETS: &[&str] =
    &["NetworkInterfaceId", "NetworkLoadBalancerArn", "GatewayLoadBalancerEndpointId"];
const INTERFACE: &[&str] = &["PrivateIpAddress", "PrivateIpAddresses", "Ipv6Addresses", "SubnetId"];

/// Returns the reader of a resource type.
pub(super) fn kind(name: &str) -> Option<&'static Kind> {
    Some(match name {
        "AWS::EC2::TrafficMirrorFilter" => {
            &Kind { keys: &["NetworkServices"], quiet: &[], class: Class::Filter, read: filter }
        }
        "AWS::EC2::TrafficMirrorFilterRule" => {
            &Kind { keys: RULE, quiet: &[], class: Class::Rule, read: filter_rule }
        }
        "AWS::EC2::TrafficMirrorSession" => &Kind {
            keys: SESSION,
            quiet: &["TrafficMirrorTargetId"],
            class: Class::Session,
            read: session,
        },
        "AWS::EC2::TrafficMirrorTarget" => {
            &Kind { keys: TARGETS, quiet: TARGETS, class: Class::Other, read: target }
        }
        "AWS::EC2::NetworkInterface" => &Kind {
            keys: INTERFACE,
            quiet: &["SubnetId"],
            class: Class::Interface,
            read: interface,
        },
        // They matter for DNS alone, where a prefix that is not known is reported.
        "AWS::EC2::VPC" => {
            &Kind { keys: &["CidrBlock"], quiet: &["CidrBlock"], class: Class::Other, read: vpc }
        }
        "AWS::EC2::VPCCidrBlock" => &Kind {
            keys: &["VpcId", "CidrBlock"],
            quiet: &["VpcId", "CidrBlock"],
            class: Class::Other,
            read: vpc_block,
        },
        "AWS::EC2::Subnet" => {
            &Kind { keys: &["VpcId"], quiet: &["VpcId"], class: Class::Other, read: subnet }
        }
        _ => return None,
    })
}

/// Returns `true` if a resource of a mirror, or an interface, is anywhere in the value.
pub(super) fn is_of_mirror(value: &Value) -> bool {
    has_kind(value, |_| true)
}

/// Returns `true` if a resource of the class is anywhere in the value.
pub(super) fn has_class(value: &Value, class: Class) -> bool {
    has_kind(value, |kind| kind.class == class)
}

fn has_kind(value: &Value, is_wanted: impl Fn(&Kind) -> bool + Copy) -> bool {
    match value {
        Value::String(text) => kind(text).is_some_and(is_wanted),
        Value::Array(list) => list.iter().any(|it| has_kind(it, is_wanted)),
        Value::Object(object) => object.values().any(|it| has_kind(it, is_wanted)),
        _ => false,
    }
}

fn filter(
    properties: &Item<'_>,
    name: &str,
    assumptions: &[String],
    mirror: &mut Mirror,
) -> Result<(), ImportError> {
    let amazon_dns = values::has_amazon_dns(&properties.list("NetworkServices")?)?;
    mirror.filters.push(MirrorFilter {
        id: name.to_owned(),
        place: properties.place(),
        label: None,
        amazon_dns,
        assumptions: assumptions.to_vec(),
    });
    Ok(())
}

fn filter_rule(
    properties: &Item<'_>,
    name: &str,
    assumptions: &[String],
    mirror: &mut Mirror,
) -> Result<(), ImportError> {
    let filter = properties.id("TrafficMirrorFilterId")?;
    let before = mirror.rules.len();
    values::add_rule(properties, &AWS_RULE, name, &filter, mirror);
    for rule in &mut mirror.rules[before..] {
        rule.assumptions.splice(0..0, assumptions.iter().cloned());
    }
    Ok(())
}

fn session(
    properties: &Item<'_>,
    name: &str,
    assumptions: &[String],
    mirror: &mut Mirror,
) -> Result<(), ImportError> {
    let mut session = values::session(properties, &AWS_SESSION, name, None)?;
    session.assumptions = assumptions.to_vec();
    mirror.sessions.push(session);
    Ok(())
}

fn target(
    properties: &Item<'_>,
    name: &str,
    _: &[String],
    mirror: &mut Mirror,
) -> Result<(), ImportError> {
    for key in TARGETS {
        if let Some(destination) = properties.optional_string(key)? {
            mirror.targets.push(MirrorTarget { id: name.to_owned(), destination });
            break;
        }
    }
    Ok(())
}

/// Reads an interface; a template has no MAC address, as the interface does not exist yet.
fn interface(
    properties: &Item<'_>,
    name: &str,
    assumptions: &[String],
    mirror: &mut Mirror,
) -> Result<(), ImportError> {
    let mut primary = properties.get("PrivateIpAddress")?.map(|item| address(&item)).transpose()?;
    let mut others = Vec::new();
    for element in properties.list("PrivateIpAddresses")? {
        let other = address(&element.required("PrivateIpAddress")?)?;
        let is_primary = element.get("Primary")?.map_or(Ok(false), |it| it.boolean())?;
        if is_primary {
            primary = Some(other);
        }
        others.push(other.into());
    }
    for element in properties.list("Ipv6Addresses")? {
        others.push(address(&element.required("Ipv6Address")?)?.into());
    }
    mirror.interfaces.push(MirrorInterface {
        id: name.to_owned(),
        place: properties.place(),
        primary,
        addresses: in_order(primary, others),
        subnet: properties.optional_string("SubnetId")?,
        assumptions: assumptions.to_vec(),
        ..MirrorInterface::default()
    });
    Ok(())
}

fn vpc(
    properties: &Item<'_>,
    name: &str,
    assumptions: &[String],
    mirror: &mut Mirror,
) -> Result<(), ImportError> {
    if let Some(block) = properties.get("CidrBlock")? {
        mirror.add_vpc_prefix(name, vpc_prefix(&block)?, assumptions);
    }
    Ok(())
}

fn vpc_block(
    properties: &Item<'_>,
    _: &str,
    assumptions: &[String],
    mirror: &mut Mirror,
) -> Result<(), ImportError> {
    if let (Some(vpc), Some(block)) =
        (properties.optional_string("VpcId")?, properties.get("CidrBlock")?)
    {
        mirror.add_vpc_prefix(&vpc, vpc_prefix(&block)?, assumptions);
    }
    Ok(())
}

fn subnet(
    properties: &Item<'_>,
    name: &str,
    _: &[String],
    mirror: &mut Mirror,
) -> Result<(), ImportError> {
    if let Some(vpc) = properties.optional_string("VpcId")? {
        mirror.subnets.insert(name.to_owned(), vpc);
    }
    Ok(())
}
