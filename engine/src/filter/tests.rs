//! Tests of the meaning of rules, and that the compiled form agrees.

mod directions;
mod equivalence;
mod semantics;
mod shadows;

use proptest::prelude::*;

use crate::config::{Action, Direction, PortRange, Rule, TCP, UDP};
use crate::flow::{Addresses, Flow, Ports};

/// A rule that accepts everything of IPv4.
fn rule(number: u32) -> Rule {
    Rule {
        direction: Direction::Ingress,
        number,
        action: Action::Accept,
        protocol: None,
        source: "0.0.0.0/0".parse().unwrap(),
        destination: "0.0.0.0/0".parse().unwrap(),
        source_ports: None,
        destination_ports: None,
    }
}

/// The values of a small world, in which rules and packets meet often: the lowest and the highest
/// of everything, and neighbours of what rules ask for.
pub(crate) const V4: [u32; 8] =
    [0, 0x0a00_0000, 0x0a00_0001, 0x0a00_00ff, 0x0a00_0100, 0x0aff_ffff, 0xc0a8_0001, u32::MAX];
const V6: [u128; 6] = [0, 1, 0xfd00 << 112, (0xfd00 << 112) + 1, 0xfd00_0000_0001 << 80, u128::MAX];
pub(crate) const PORTS: [u16; 8] = [0, 21, 22, 23, 80, 1024, 65_534, 65_535];
const PROTOCOLS: [u8; 5] = [1, TCP, UDP, 58, 255];

fn any_prefix(is_v4: bool) -> BoxedStrategy<ipnet::IpNet> {
    if is_v4 {
        let lens = prop::sample::select(vec![0_u8, 1, 8, 16, 24, 25, 31, 32]);
        (prop::sample::select(&V4[..]), lens)
            .prop_map(|(address, len)| {
                ipnet::IpNet::V4(ipnet::Ipv4Net::new_assert(address.into(), len).trunc())
            })
            .boxed()
    } else {
        let lens = prop::sample::select(vec![0_u8, 1, 8, 16, 48, 64, 127, 128]);
        (prop::sample::select(&V6[..]), lens)
            .prop_map(|(address, len)| {
                ipnet::IpNet::V6(ipnet::Ipv6Net::new_assert(address.into(), len).trunc())
            })
            .boxed()
    }
}

fn any_ports() -> impl Strategy<Value = Option<PortRange>> {
    let port = || prop::sample::select(&PORTS[..]);
    prop::option::weighted(
        0.6,
        (port(), port())
            .prop_map(|(one, other)| PortRange { first: one.min(other), last: one.max(other) }),
    )
}

/// A valid rule, whose number is still to be given.
fn any_rule() -> impl Strategy<Value = Rule> {
    let prefixes = any::<bool>().prop_flat_map(|is_v4| (any_prefix(is_v4), any_prefix(is_v4)));
    let protocol = prop::option::of(prop::sample::select(&PROTOCOLS[..]));
    let action = prop::sample::select(vec![Action::Accept, Action::Reject]);
    (prefixes, protocol, any_ports(), any_ports(), action).prop_map(
        |((source, destination), protocol, source_ports, destination_ports, action)| {
            let ports = |range| if matches!(protocol, Some(TCP | UDP)) { range } else { None };
            Rule {
                action,
                protocol,
                source,
                destination,
                source_ports: ports(source_ports),
                destination_ports: ports(destination_ports),
                ..rule(0)
            }
        },
    )
}

pub(crate) fn any_rules(count_max: usize) -> impl Strategy<Value = Vec<Rule>> {
    prop::collection::vec(any_rule(), 0..=count_max).prop_map(|mut rules| {
        (1..).zip(&mut rules).for_each(|(number, rule)| rule.number = number);
        rules
    })
}

/// A packet of TCP between two hosts.
fn flow(source: u32, destination: u32, ports: (u16, u16)) -> Flow {
    Flow {
        addresses: Addresses::V4 { source, destination },
        protocol: TCP,
        ports: Some(Ports { source: ports.0, destination: ports.1 }),
        is_fragment: false,
    }
}
