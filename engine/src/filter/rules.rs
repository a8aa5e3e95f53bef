//! Finds the first rule that matches a packet, one after the other: for explanations, and as the
//! reference that the compiled form is tested against.
//!
//! A packet of one address family matches no rule of the other, and a frame without IP matches
//! none. Ports that are missing, in later fragments and in frames that are cut before them, are in
//! no range: a rule with a port range does not match, be it accept or reject. A range of all ports
//! is no condition.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::config::{Direction, PortRange, Rule};
use crate::flow::Flow;

/// The first condition of a rule that a packet does not meet.
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
    /// The rule has a port range, and the packet shows no ports.
    NoPorts,
}

/// Returns the rules of one direction in the order of evaluation.
pub(crate) fn in_order(rules: &[Rule], direction: Direction) -> Vec<Rule> {
    let mut rules: Vec<Rule> =
        rules.iter().filter(|rule| rule.direction == direction).cloned().collect();
    rules.sort_by_key(|rule| rule.number);
    rules
}

/// Returns the position of the first of these rules that matches the packet.
#[cfg(any(test, feature = "internals"))]
pub(crate) fn first_match(rules: &[Rule], flow: &Flow) -> Option<usize> {
    rules.iter().position(|rule| misses(rule, flow).is_none())
}

/// Returns the first condition of the rule that the packet does not meet; `None` if the rule
/// matches.
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
