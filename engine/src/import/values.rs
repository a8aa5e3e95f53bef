//! Values that the readers share.

use std::net::IpAddr;

use ipnet::IpNet;

use super::ImportError;
use super::item::Item;
use super::model::MirrorRule;
use crate::config::{Action, Direction, PortRange, TCP, UDP};

/// Names of the properties of a rule in a format.
pub(super) struct RuleKeys {
    pub(super) direction: &'static str,
    pub(super) number: &'static str,
    pub(super) action: &'static str,
    pub(super) protocol: &'static str,
    pub(super) source: &'static str,
    pub(super) destination: &'static str,
    pub(super) source_ports: &'static str,
    pub(super) destination_ports: &'static str,
    pub(super) from: &'static str,
    pub(super) to: &'static str,
    pub(super) label: &'static str,
}

/// Names in the AWS CLI's output and in CloudFormation.
pub(super) const AWS_RULE: RuleKeys = RuleKeys {
    direction: "TrafficDirection",
    number: "RuleNumber",
    action: "RuleAction",
    protocol: "Protocol",
    source: "SourceCidrBlock",
    destination: "DestinationCidrBlock",
    source_ports: "SourcePortRange",
    destination_ports: "DestinationPortRange",
    from: "FromPort",
    to: "ToPort",
    label: "Description",
};

const DIRECTIONS: &[(&str, Direction)] =
    &[("ingress", Direction::Ingress), ("egress", Direction::Egress)];
const ACTIONS: &[(&str, Action)] = &[("accept", Action::Accept), ("reject", Action::Reject)];

/// Reads a rule of a filter.
pub(super) fn rule(
    item: &Item<'_>,
    keys: &RuleKeys,
    id: &str,
    filter: &str,
) -> Result<MirrorRule, ImportError> {
    let mut assumptions = Vec::new();
    let direction = item.required(keys.direction)?.word(DIRECTIONS)?;
    let number = item.required(keys.number)?.integer(1..=i64::from(u32::MAX))?;
    let action = item.required(keys.action)?.word(ACTIONS)?;
    let protocol = item.get(keys.protocol)?.map_or(Ok(None), |item| protocol(&item))?;
    let source_item = item.required(keys.source)?;
    let source = prefix(&source_item, &mut assumptions)?;
    let destination_item = item.required(keys.destination)?;
    let destination = prefix(&destination_item, &mut assumptions)?;
    if source.addr().is_ipv4() != destination.addr().is_ipv4() {
        return Err(destination_item
            .expected(format_args!("a prefix of the family of the source {source}")));
    }
    let ports = |key: &str| ports(item, key, keys, protocol);
    Ok(MirrorRule {
        id: id.to_owned(),
        filter: filter.to_owned(),
        direction,
        number: u32::try_from(number).unwrap_or(u32::MAX),
        action,
        protocol,
        source,
        destination,
        source_ports: ports(keys.source_ports)?,
        destination_ports: ports(keys.destination_ports)?,
        label: item.get(keys.label)?.and_then(|label| label.string().ok()).map(str::to_owned),
        assumptions,
    })
}

/// Reads IANA's number; 0 and -1 mean any, which is `None`.
fn protocol(item: &Item<'_>) -> Result<Option<u8>, ImportError> {
    let number = item.integer(-1..=255)?;
    Ok(u8::try_from(number).ok().filter(|&number| number != 0))
}

/// Reads a range as an object or, as Terraform writes blocks, as a list of at most one object. All
/// ports are the same as none.
fn ports(
    rule: &Item<'_>,
    key: &str,
    keys: &RuleKeys,
    protocol: Option<u8>,
) -> Result<Option<PortRange>, ImportError> {
    let Some(mut item) = rule.get(key)? else { return Ok(None) };
    if item.value().is_array() {
        let mut blocks = item.elements()?;
        if blocks.len() > 1 {
            return Err(
                item.error(format_args!("found {} blocks, expected one at most", blocks.len()))
            );
        }
        let Some(block) = blocks.pop() else { return Ok(None) };
        item = block;
    }
    let port = |key| -> Result<u16, ImportError> {
        let port = item.required(key)?.integer(0..=65_535)?;
        Ok(u16::try_from(port).unwrap_or(u16::MAX))
    };
    let range = PortRange { first: port(keys.from)?, last: port(keys.to)? };
    if range.first > range.last {
        return Err(item.error(format_args!("the range {range} ends before it begins")));
    }
    if !matches!(protocol, Some(TCP | UDP)) {
        return Err(item.error("ports need protocol 6 (TCP) or 17 (UDP)"));
    }
    Ok(Some(range).filter(|range| *range != PortRange::ALL))
}

/// Reads a prefix; host bits are cleared, as AWS does, and this is noted as an assumption.
pub(super) fn prefix(item: &Item<'_>, assumptions: &mut Vec<String>) -> Result<IpNet, ImportError> {
    let written: IpNet = item.parsed("an address prefix such as \"10.0.0.0/8\"")?;
    let meant = written.trunc();
    if meant != written {
        assumptions.push(format!("{written} has host bits: taken as {meant}"));
    }
    Ok(meant)
}

pub(super) fn address(item: &Item<'_>) -> Result<IpAddr, ImportError> {
    item.parsed("an IP address")
}

/// Reads the number of a session.
pub(super) fn session_number(item: &Item<'_>) -> Result<u16, ImportError> {
    Ok(u16::try_from(item.integer(1..=32_766)?).unwrap_or(u16::MAX))
}

/// Reads a packet length; 0 means all.
pub(super) fn packet_length(item: &Item<'_>) -> Result<Option<u32>, ImportError> {
    Ok(u32::try_from(item.integer(0..=65_535)?).ok().filter(|&length| length > 0))
}

pub(super) fn vni(item: &Item<'_>) -> Result<u32, ImportError> {
    Ok(u32::try_from(item.integer(0..=0xff_ffff)?).unwrap_or(u32::MAX))
}

/// Returns `true` if the list of services has Amazon's DNS; there is no other service.
pub(super) fn has_amazon_dns(services: &[Item<'_>]) -> Result<bool, ImportError> {
    for service in services {
        service.word(&[("amazon-dns", ())])?;
    }
    Ok(!services.is_empty())
}
