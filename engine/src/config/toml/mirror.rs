//! The tables that describe the mirror: interfaces, filters with their rules, and sessions.

use std::net::IpAddr;

use toml::de::DeValue;

use super::LocatedProblem;
use super::reader::{Node, Section};
use crate::config::filter::{PROTOCOL, PROTOCOLS, RULE_NUMBER};
use crate::config::keyword::keyword_list;
use crate::config::session::{PACKET_LENGTH, SESSION_NUMBER, VLAN, VNI};
use crate::config::vxlan_profile::{BIT, BIT_COUNT};
use crate::config::{
    Action, Direction, DirectionBit, Eni, Filter, NetworkService, PortRange, Rule, SequenceBits,
    Session, VxlanProfile,
};

pub(super) const ENI: &[&str] = &["id", "mac", "addresses", "vpc_prefixes"];
pub(super) const FILTER: &[&str] = &["name", "network_services", "rule"];
pub(super) const RULE: &[&str] = &[
    "direction",
    "number",
    "action",
    "protocol",
    "source",
    "destination",
    "source_ports",
    "destination_ports",
];
pub(super) const SESSION: &[&str] = &[
    "name",
    "vni",
    "source",
    "eni",
    "filter",
    "vxlan_profile",
    "packet_length",
    "number",
    "vlan",
    "outputs",
];
pub(super) const VXLAN_PROFILE: &[&str] = &["name", "direction", "sequence"];
pub(super) const DIRECTION_BIT: &[&str] = &["bit", "set"];
pub(super) const SEQUENCE: &[&str] = &["first_bit", "bit_count"];

pub(super) fn eni(section: &Section<'_>) -> Result<Eni, LocatedProblem> {
    let mac = "a MAC address in quotes, such as \"02:aa:bb:cc:dd:01\"";
    let prefix = "an IPv4 prefix in quotes, such as \"10.0.0.0/16\"";
    let vpc_prefixes = |node: Node<'_>| {
        let list = node.list("a list of IPv4 prefixes, such as [\"10.0.0.0/16\"]")?;
        list.iter().map(|node| node.parsed(prefix)).collect()
    };
    Ok(Eni {
        id: section.name("id")?,
        mac: section.get("mac").map(|node| node.parsed(mac)).transpose()?,
        addresses: section.prefixes("addresses")?,
        vpc_prefixes: section.get("vpc_prefixes").map_or(Ok(Vec::new()), vpc_prefixes)?,
    })
}

pub(super) fn filter(section: &Section<'_>) -> Result<Filter, LocatedProblem> {
    let services = |node: Node<'_>| {
        let list = node.list("a list of services, such as [\"amazon-dns\"]")?;
        list.iter().map(Node::keyword::<NetworkService>).collect()
    };
    Ok(Filter {
        name: section.name("name")?,
        network_services: section.get("network_services").map_or(Ok(Vec::new()), services)?,
        rules: section.each("rule", RULE, rule)?,
    })
}

fn rule(section: &Section<'_>) -> Result<Rule, LocatedProblem> {
    let prefix = "an address prefix";
    Ok(Rule {
        direction: section.required("direction", keyword_list::<Direction>())?.keyword()?,
        number: section.required("number", RULE_NUMBER)?.number(RULE_NUMBER)?,
        action: section.required("action", keyword_list::<Action>())?.keyword()?,
        protocol: section.get("protocol").map_or(Ok(None), |node| protocol(&node))?,
        source: section.required("source", prefix)?.prefix()?,
        destination: section.required("destination", prefix)?.prefix()?,
        source_ports: section.get("source_ports").map(|node| ports(&node)).transpose()?,
        destination_ports: section.get("destination_ports").map(|node| ports(&node)).transpose()?,
    })
}

/// Reads a protocol name or IANA's number; `None` is any, which AWS's rules write as 0 or -1.
fn protocol(node: &Node<'_>) -> Result<Option<u8>, LocatedProblem> {
    if let DeValue::Integer(integer) = node.value() {
        if integer.as_str() == "-1" {
            return Ok(None);
        }
        return Ok(Some(node.number(PROTOCOL)?).filter(|&number: &u8| number != 0));
    }
    let words =
        PROTOCOLS.iter().map(|(word, _)| format!("{word:?}")).collect::<Vec<_>>().join(", ");
    let allowed = format!("\"any\", {words} or {PROTOCOL}");
    match node.string(&allowed)? {
        "any" => Ok(None),
        word => {
            let known = PROTOCOLS.iter().find(|(name, _)| *name == word);
            known.map(|(_, number)| Some(*number)).ok_or_else(|| node.refused(allowed))
        }
    }
}

/// Reads a port as a number, or a port or a range in quotes.
fn ports(node: &Node<'_>) -> Result<PortRange, LocatedProblem> {
    let allowed = "a port from 0 to 65535, or a range in quotes, such as \"1024-65535\"";
    if let DeValue::Integer(integer) = node.value() {
        let port = u16::from_str_radix(integer.as_str(), integer.radix()).ok();
        return port
            .map(|port| PortRange { first: port, last: port })
            .ok_or_else(|| node.refused(allowed));
    }
    node.parsed(allowed)
}

pub(super) fn session(section: &Section<'_>) -> Result<Session, LocatedProblem> {
    let outputs = |node: Node<'_>| {
        let list = node.list("a list of outputs, such as [\"disk\"]")?;
        list.iter()
            .map(|node| Ok(node.string("the name of an output in quotes")?.to_owned()))
            .collect()
    };
    Ok(Session {
        name: section.name("name")?,
        vni: section.required("vni", VNI)?.number(VNI)?,
        source: section.get("source").map(|node| address(&node)).transpose()?,
        eni: section.reference("eni")?,
        filter: section.reference("filter")?,
        vxlan_profile: section.reference("vxlan_profile")?,
        packet_length: section.number("packet_length", PACKET_LENGTH)?,
        number: section.number("number", SESSION_NUMBER)?,
        vlan: section.number("vlan", VLAN)?,
        outputs: section.get("outputs").map(outputs).transpose()?,
    })
}

pub(super) fn vxlan_profile(section: &Section<'_>) -> Result<VxlanProfile, LocatedProblem> {
    let direction = |node: Node<'_>| {
        let section =
            node.section(DIRECTION_BIT, "a table such as { bit = 56, set = \"egress\" }")?;
        let bit = section.required("bit", BIT)?.number(BIT)?;
        Ok(DirectionBit {
            bit,
            set: section.required("set", keyword_list::<Direction>())?.keyword()?,
        })
    };
    let sequence = |node: Node<'_>| {
        let section =
            node.section(SEQUENCE, "a table such as { first_bit = 8, bit_count = 24 }")?;
        let first_bit = section.required("first_bit", BIT)?.number(BIT)?;
        Ok(SequenceBits {
            first_bit,
            bit_count: section.required("bit_count", BIT_COUNT)?.number(BIT_COUNT)?,
        })
    };
    Ok(VxlanProfile {
        name: section.name("name")?,
        direction: section.get("direction").map(direction).transpose()?,
        sequence: section.get("sequence").map(sequence).transpose()?,
    })
}

fn address(node: &Node<'_>) -> Result<IpAddr, LocatedProblem> {
    node.parsed("an IPv4 or IPv6 address in quotes")
}
