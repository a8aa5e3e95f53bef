//! Values and objects that the readers share.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use super::error::ImportError;
use super::item::Item;
use super::left_out::LeftOutSession;
use super::model::{Mirror, MirrorRule, MirrorSession};
use crate::config::{Action, Direction, MacAddress, PortRange, TCP, UDP};

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

/// Names of the properties of a session in a format.
pub(super) struct SessionKeys {
    pub(super) interface: &'static str,
    pub(super) filter: &'static str,
    pub(super) target: &'static str,
    pub(super) number: &'static str,
    pub(super) packet_length: &'static str,
    pub(super) vni: &'static str,
}

/// Names in the AWS CLI's output and in CloudFormation.
pub(super) const AWS_SESSION: SessionKeys = SessionKeys {
    interface: "NetworkInterfaceId",
    filter: "TrafficMirrorFilterId",
    target: "TrafficMirrorTargetId",
    number: "SessionNumber",
    packet_length: "PacketLength",
    vni: "VirtualNetworkId",
};

const DIRECTIONS: &[(&str, Direction)] =
    &[("ingress", Direction::Ingress), ("egress", Direction::Egress)];
const ACTIONS: &[(&str, Action)] = &[("accept", Action::Accept), ("reject", Action::Reject)];

/// Reads a rule of a filter and adds it to the mirror. A rule that cannot be read is left out.
pub(super) fn add_rule(
    item: &Item<'_>,
    keys: &RuleKeys,
    id: &str,
    filter: &str,
    mirror: &mut Mirror,
) {
    let mut without = Vec::new();
    match rule(item, keys, id, filter, &mut without) {
        Ok(rule) => {
            for sentence in &without {
                mirror.left_out.note(sentence);
            }
            mirror.rules.push(rule);
        }
        Err(error) => mirror.left_out.rule(Some(filter), may_accept(item, keys), error),
    }
}

/// Returns whether a rule that cannot be read may be one that accepts frames.
pub(super) fn may_accept(item: &Item<'_>, keys: &RuleKeys) -> bool {
    item.word_of(keys.action) != Some("reject")
}

/// Reads a rule of a filter. `without` gets a sentence for each part that is left out of it.
pub(super) fn rule(
    item: &Item<'_>,
    keys: &RuleKeys,
    id: &str,
    filter: &str,
    without: &mut Vec<String>,
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
    let mut ports = |key| -> Result<_, ImportError> {
        let Some((item, range)) = ports(item, key, keys)? else { return Ok(None) };
        if matches!(protocol, Some(TCP | UDP)) || range == PortRange::ALL {
            return Ok(Some(range).filter(|range| *range != PortRange::ALL));
        }
        let error = item.error("ports need protocol 6 (TCP) or 17 (UDP)");
        // AWS applies ports to TCP and UDP alone. A rule that accepts more than meant loses
        // nothing; one that rejects more would.
        if action == Action::Reject {
            return Err(error);
        }
        without.push(format!("{error}; the rule is taken without them"));
        assumptions.push(format!("ports {range} need protocol TCP or UDP: taken without them"));
        Ok(None)
    };
    let (source_ports, destination_ports) =
        (ports(keys.source_ports)?, ports(keys.destination_ports)?);
    Ok(MirrorRule {
        id: id.to_owned(),
        place: item.place(),
        filter: filter.to_owned(),
        direction,
        number: u32::try_from(number).unwrap_or(u32::MAX),
        action,
        protocol,
        source,
        destination,
        source_ports,
        destination_ports,
        label: item.word_of(keys.label).map(str::to_owned),
        assumptions,
    })
}

/// Reads IANA's number; 0 and -1 mean any, which is `None`.
fn protocol(item: &Item<'_>) -> Result<Option<u8>, ImportError> {
    let number = item.integer(-1..=255)?;
    Ok(u8::try_from(number).ok().filter(|&number| number != 0))
}

/// Reads a range as an object or, as Terraform writes blocks, as a list of at most one object.
fn ports<'v>(
    rule: &Item<'v>,
    key: &str,
    keys: &RuleKeys,
) -> Result<Option<(Item<'v>, PortRange)>, ImportError> {
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
    Ok(Some((item, range)))
}

/// Reads a session.
pub(super) fn session(
    item: &Item<'_>,
    keys: &SessionKeys,
    id: &str,
    label: Option<String>,
) -> Result<MirrorSession, ImportError> {
    Ok(MirrorSession {
        id: id.to_owned(),
        place: item.place(),
        label,
        interface: item.id(keys.interface)?,
        filter: item.id(keys.filter)?,
        target: item.optional_string(keys.target)?,
        number: Some(session_number(&item.required(keys.number)?)?),
        packet_length: item.get(keys.packet_length)?.map_or(Ok(None), |it| packet_length(&it))?,
        vni: item.get(keys.vni)?.map(|item| vni(&item)).transpose()?,
        assumptions: Vec::new(),
    })
}

/// Returns what counts of a session that cannot be read: its name and, if that can, its VNI.
pub(super) fn left_out_session(
    item: &Item<'_>,
    keys: &SessionKeys,
    id: Option<&str>,
) -> LeftOutSession {
    let vni = item.get(keys.vni).ok().flatten().and_then(|item| vni(&item).ok());
    match id {
        Some(id) => LeftOutSession::new(id, vni),
        None => LeftOutSession {
            name: format!("the session at {}", item.place()),
            ..LeftOutSession::new("", vni)
        },
    }
}

/// Reads a prefix. Host bits are cleared, as AWS does, and IPv4 in IPv6 form is taken in its own:
/// both are noted as assumptions.
pub(super) fn prefix(item: &Item<'_>, assumptions: &mut Vec<String>) -> Result<IpNet, ImportError> {
    let written: IpNet = item.parsed("an address prefix such as \"10.0.0.0/8\"")?;
    let meant = in_own_form(written).trunc();
    if meant != written {
        let is_mapped = meant.addr().is_ipv4() != written.addr().is_ipv4();
        let why = if is_mapped { "is IPv4 in IPv6 form" } else { "has host bits" };
        assumptions.push(format!("{written} {why}: taken as {meant}"));
    }
    Ok(meant)
}

/// Returns an IPv4-mapped IPv6 prefix (RFC 4291, section 2.5.5.2) as the IPv4 prefix that it means.
fn in_own_form(prefix: IpNet) -> IpNet {
    let IpNet::V6(v6) = prefix else { return prefix };
    let len = v6.prefix_len().checked_sub(96);
    let mapped = v6.addr().to_ipv4_mapped().zip(len);
    mapped.and_then(|(addr, len)| Ipv4Net::new(addr, len).ok()).map_or(prefix, IpNet::V4)
}

pub(super) fn address(item: &Item<'_>) -> Result<IpAddr, ImportError> {
    Ok(item.parsed::<IpAddr>("an IP address")?.to_canonical())
}

/// Reads an IPv4 prefix of a VPC.
pub(super) fn vpc_prefix(item: &Item<'_>) -> Result<Ipv4Net, ImportError> {
    Ok(item.parsed::<Ipv4Net>("an IPv4 prefix such as \"10.0.0.0/16\"")?.trunc())
}

pub(super) fn mac(item: &Item<'_>, key: &str) -> Result<Option<MacAddress>, ImportError> {
    let mac = |item: Item<'_>| item.parsed("a MAC address such as \"02:aa:bb:cc:dd:01\"");
    item.get(key)?.map(mac).transpose()
}

/// Reads the number of a session.
fn session_number(item: &Item<'_>) -> Result<u16, ImportError> {
    Ok(u16::try_from(item.integer(1..=32_766)?).unwrap_or(u16::MAX))
}

/// Reads a packet length; 0 means all.
fn packet_length(item: &Item<'_>) -> Result<Option<u32>, ImportError> {
    Ok(u32::try_from(item.integer(0..=65_535)?).ok().filter(|&length| length > 0))
}

fn vni(item: &Item<'_>) -> Result<u32, ImportError> {
    Ok(u32::try_from(item.integer(0..=0xff_ffff)?).unwrap_or(u32::MAX))
}

/// Returns `true` if the list of services has Amazon's DNS; there is no other service.
pub(super) fn has_amazon_dns(services: &[Item<'_>]) -> Result<bool, ImportError> {
    for service in services {
        service.word(&[("amazon-dns", ())])?;
    }
    Ok(!services.is_empty())
}
