//! The tables that describe the mirror: interfaces, filters with their rules, and sessions.

use std::net::IpAddr;

use toml::de::DeValue;

use super::Fault;
use super::reader::{Node, Section};
use crate::config::filter::{PROTOCOL, PROTOCOLS, RULE_NUMBER};
use crate::config::profile::{BIT, SEQUENCE_BITS};
use crate::config::session::{PACKET_LENGTH, SESSION_NUMBER, VLAN, VNI};
use crate::config::words::words_of;
use crate::config::{
    Action, Direction, DirectionBit, Eni, Filter, NetworkService, PortRange, Profile, Rule,
    SequenceBits, Session,
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
    "profile",
    "packet_length",
    "number",
    "vlan",
    "outputs",
];
pub(super) const PROFILE: &[&str] = &["name", "direction", "sequence"];
pub(super) const DIRECTION_BIT: &[&str] = &["bit", "set"];
pub(super) const SEQUENCE: &[&str] = &["bit", "bits"];

pub(super) fn eni(section: &Section<'_>) -> Result<Eni, Fault> {
    let mac = "a MAC address in quotes, such as \"02:aa:bb:cc:dd:01\"";
    let prefix = "an IPv4 prefix in quotes, such as \"10.0.0.0/16\"";
    let vpc_prefixes = |node: Node<'_>| {
        let list = node.list("a list of IPv4 prefixes")?;
        list.iter().map(|node| node.parsed(prefix)).collect()
    };
    Ok(Eni {
        id: section.name("id")?,
        mac: section.get("mac").map(|node| node.parsed(mac)).transpose()?,
        addresses: section.prefixes("addresses")?,
        vpc_prefixes: section.get("vpc_prefixes").map_or(Ok(Vec::new()), vpc_prefixes)?,
    })
}

pub(super) fn filter(section: &Section<'_>) -> Result<Filter, Fault> {
    let services = |node: Node<'_>| {
        let list = node.list("a list of services")?;
        list.iter().map(Node::word::<NetworkService>).collect()
    };
    Ok(Filter {
        name: section.name("name")?,
        network_services: section.get("network_services").map_or(Ok(Vec::new()), services)?,
        rules: section.each("rule", RULE, rule)?,
    })
}

fn rule(section: &Section<'_>) -> Result<Rule, Fault> {
    let prefix = "an address prefix";
    Ok(Rule {
        direction: section.required("direction", words_of::<Direction>())?.word()?,
        number: section.required("number", RULE_NUMBER)?.number(RULE_NUMBER)?,
        action: section.required("action", words_of::<Action>())?.word()?,
        protocol: section.get("protocol").map_or(Ok(None), |node| protocol(&node))?,
        source: section.required("source", prefix)?.prefix()?,
        destination: section.required("destination", prefix)?.prefix()?,
        source_ports: section.get("source_ports").map(|node| ports(&node)).transpose()?,
        destination_ports: section.get("destination_ports").map(|node| ports(&node)).transpose()?,
    })
}

/// A word, or IANA's number; `None` is any. What is written with AWS's rules in mind has 0 or -1
/// for it.
fn protocol(node: &Node<'_>) -> Result<Option<u8>, Fault> {
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

/// A port as a number, or a port or a range in quotes.
fn ports(node: &Node<'_>) -> Result<PortRange, Fault> {
    let allowed = "a port from 0 to 65535, or a range in quotes, such as \"1024-65535\"";
    if let DeValue::Integer(integer) = node.value() {
        let port = u16::from_str_radix(integer.as_str(), integer.radix()).ok();
        return port
            .map(|port| PortRange { first: port, last: port })
            .ok_or_else(|| node.refused(allowed));
    }
    node.parsed(allowed)
}

pub(super) fn session(section: &Section<'_>) -> Result<Session, Fault> {
    let outputs = |node: Node<'_>| {
        let list = node.list("a list of outputs")?;
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
        profile: section.reference("profile")?,
        packet_length: section.number("packet_length", PACKET_LENGTH)?,
        number: section.number("number", SESSION_NUMBER)?,
        vlan: section.number("vlan", VLAN)?,
        outputs: section.get("outputs").map(outputs).transpose()?,
    })
}

pub(super) fn profile(section: &Section<'_>) -> Result<Profile, Fault> {
    let direction = |node: Node<'_>| {
        let section =
            node.section(DIRECTION_BIT, "a table such as { bit = 56, set = \"egress\" }")?;
        let bit = section.required("bit", BIT)?.number(BIT)?;
        Ok(DirectionBit { bit, set: section.required("set", words_of::<Direction>())?.word()? })
    };
    let sequence = |node: Node<'_>| {
        let section = node.section(SEQUENCE, "a table such as { bit = 8, bits = 24 }")?;
        let bit = section.required("bit", BIT)?.number(BIT)?;
        Ok(SequenceBits {
            bit,
            bits: section.required("bits", SEQUENCE_BITS)?.number(SEQUENCE_BITS)?,
        })
    };
    Ok(Profile {
        name: section.name("name")?,
        direction: section.get("direction").map(direction).transpose()?,
        sequence: section.get("sequence").map(sequence).transpose()?,
    })
}

fn address(node: &Node<'_>) -> Result<IpAddr, Fault> {
    node.parsed("an IPv4 or IPv6 address in quotes")
}
