//! Reader of CloudFormation templates, YAML or JSON.
//!
//! Resource types and properties: the CloudFormation template reference, `AWS::EC2::TrafficMirror*`
//! and `AWS::EC2::NetworkInterface`.

mod resolve;
mod yaml;

use serde_json::{Map, Value};

use super::item::Item;
use super::model::{Mirror, MirrorFilter, MirrorInterface, MirrorSession, MirrorTarget, in_order};
use super::values::{self, AWS_RULE, address, rule};
use super::{ImportError, Input, json_error, text};
use resolve::Template;

/// Properties of a resource type that are read, and the function that reads them.
type ResourceReader = (
    &'static [&'static str],
    fn(&Item<'_>, &str, Vec<String>, &mut Mirror) -> Result<(), ImportError>,
);

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
const INTERFACE: &[&str] = &["PrivateIpAddress", "PrivateIpAddresses", "Ipv6Addresses"];

pub(super) fn read(inputs: &[Input]) -> Result<Mirror, ImportError> {
    let mut mirror = Mirror::default();
    for input in inputs {
        let text = text(input)?;
        let document = if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(|error| json_error(&input.name, &error))?
        } else {
            yaml::parse(&input.name, text)?
        };
        template(&Item::new(&input.name, &document, String::new()), &mut mirror)?;
    }
    mirror.merged()
}

fn template(document: &Item<'_>, mirror: &mut Mirror) -> Result<(), ImportError> {
    if !document.value().is_object() {
        return Err(document.expected("a template with Resources"));
    }
    let all = document.required("Resources")?;
    let Value::Object(resources) = all.value() else {
        return Err(all.expected("a map of resources"));
    };
    let parameters =
        document.get("Parameters")?.and_then(|parameters| parameters.value().as_object());
    let template = Template { resources, parameters };
    let none = Value::Object(Map::new());
    for (name, resource) in resources {
        let resource = Item::new(document.file(), resource, name.clone());
        let Some((keys, read)) = reader(&resource)? else { continue };
        let mut assumptions = Vec::new();
        if let Some(condition) = resource.optional_string("Condition")? {
            assumptions.push(format!("the condition {condition} is taken to hold"));
        }
        // Absent properties are like empty ones: a required one is then reported as missing.
        let properties = resource.get("Properties")?.map_or(&none, |it| it.value());
        let properties = Item::new(document.file(), properties, name.clone());
        let resolved = template.properties(&properties, keys, &mut assumptions)?;
        read(&Item::new(document.file(), &resolved, name.clone()), name, assumptions, mirror)?;
    }
    Ok(())
}

/// Returns the reader of the resource, if it belongs to a mirror.
fn reader(resource: &Item<'_>) -> Result<Option<ResourceReader>, ImportError> {
    Ok(match resource.id("Type")?.as_str() {
        "AWS::EC2::TrafficMirrorFilter" => Some((&["NetworkServices"], filter)),
        "AWS::EC2::TrafficMirrorFilterRule" => Some((RULE, filter_rule)),
        "AWS::EC2::TrafficMirrorSession" => Some((SESSION, session)),
        "AWS::EC2::TrafficMirrorTarget" => Some((TARGETS, target)),
        "AWS::EC2::NetworkInterface" => Some((INTERFACE, interface)),
        _ => None,
    })
}

fn filter(
    properties: &Item<'_>,
    name: &str,
    assumptions: Vec<String>,
    mirror: &mut Mirror,
) -> Result<(), ImportError> {
    let amazon_dns = values::has_amazon_dns(&properties.list("NetworkServices")?)?;
    mirror.filters.push(MirrorFilter { id: name.to_owned(), label: None, amazon_dns, assumptions });
    Ok(())
}

fn filter_rule(
    properties: &Item<'_>,
    name: &str,
    assumptions: Vec<String>,
    mirror: &mut Mirror,
) -> Result<(), ImportError> {
    let filter = properties.id("TrafficMirrorFilterId")?;
    let mut rule = rule(properties, &AWS_RULE, name, &filter)?;
    rule.assumptions.splice(0..0, assumptions);
    mirror.rules.push(rule);
    Ok(())
}

fn session(
    properties: &Item<'_>,
    name: &str,
    assumptions: Vec<String>,
    mirror: &mut Mirror,
) -> Result<(), ImportError> {
    mirror.sessions.push(MirrorSession {
        id: name.to_owned(),
        label: None,
        interface: properties.id("NetworkInterfaceId")?,
        filter: properties.id("TrafficMirrorFilterId")?,
        target: properties.optional_string("TrafficMirrorTargetId")?,
        number: Some(values::session_number(&properties.required("SessionNumber")?)?),
        packet_length: properties
            .get("PacketLength")?
            .map_or(Ok(None), |item| values::packet_length(&item))?,
        vni: properties.get("VirtualNetworkId")?.map(|item| values::vni(&item)).transpose()?,
        assumptions,
    });
    Ok(())
}

fn target(
    properties: &Item<'_>,
    name: &str,
    _: Vec<String>,
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
    assumptions: Vec<String>,
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
        primary,
        addresses: in_order(primary, others),
        assumptions,
        ..MirrorInterface::default()
    });
    Ok(())
}
