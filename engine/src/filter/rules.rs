//! Which rule matches a packet first? Asked one after the other: what explanations show, and what
//! the compiled form is measured against.
//!
//! A packet of one address family matches no rule of the other, and what is not IP matches none.
//! Ports that are not there, in fragments but the first and in frames that are cut before them, are
//! in no range: a rule that asks for ports does not match, whether it accepts or rejects. A range
//! of all ports asks for nothing.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::config::{Direction, PortRange, Rule};
use crate::flow::Flow;

/// What of a rule a packet does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    /// The address family.
    Family,
    /// The protocol.
    Protocol,
    /// The source address.
    Source,
    /// The destination address.
    Destination,
    /// The source port.
    SourcePorts,
    /// The destination port.
    DestinationPorts,
    /// Ports are asked for, and the packet shows none.
    NoPorts,
}

/// The rules of one direction in the order in which they are asked.
pub(crate) fn in_order(rules: &[Rule], direction: Direction) -> Vec<Rule> {
    let mut rules: Vec<Rule> =
        rules.iter().filter(|rule| rule.direction == direction).cloned().collect();
    rules.sort_by_key(|rule| rule.number);
    rules
}

/// The place of the first of these rules that matches the packet.
#[cfg(any(test, feature = "internals"))]
pub(crate) fn first_match(rules: &[Rule], flow: &Flow) -> Option<usize> {
    rules.iter().position(|rule| misses(rule, flow).is_none())
}

/// What of the rule the packet does not have; `None` if it matches.
pub(crate) fn misses(rule: &Rule, flow: &Flow) -> Option<Miss> {
    let Rule { protocol, source, destination, source_ports, destination_ports, .. } = rule;
    let (from, to) = (flow.addresses.source(), flow.addresses.destination());
    if is_v4(source) != from.is_ipv4() {
        return Some(Miss::Family);
    }
    if protocol.is_some_and(|protocol| protocol != flow.protocol) {
        return Some(Miss::Protocol);
    }
    let has = |prefix: &IpNet, address: IpAddr| prefix.contains(&address);
    if !has(source, from) {
        return Some(Miss::Source);
    }
    if !has(destination, to) {
        return Some(Miss::Destination);
    }
    let asks = |ports: &Option<PortRange>| ports.filter(|range| *range != PortRange::ALL);
    match (asks(source_ports), asks(destination_ports), flow.ports) {
        (None, None, _) => None,
        (.., None) => Some(Miss::NoPorts),
        (Some(range), _, Some(ports)) if !range.has(ports.source) => Some(Miss::SourcePorts),
        (_, Some(range), Some(ports)) if !range.has(ports.destination) => {
            Some(Miss::DestinationPorts)
        }
        _ => None,
    }
}

const fn is_v4(prefix: &IpNet) -> bool {
    matches!(prefix, IpNet::V4(_))
}
