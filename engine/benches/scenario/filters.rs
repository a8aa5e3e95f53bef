//! Filters of any length, of which only the last rule matches the benches' traffic.

use vxtap::config::{
    Action, Direction, Eni, Filter, MacAddress, NetworkService, PortRange, Rule, TCP, UDP,
};

/// Name of the filter.
pub(crate) const NAME: &str = "rules";

/// A filter with `count` rules in each direction, 1 or more. All but the last match nothing of the
/// traffic, each in another way, so that a linear search tests nearly all of them for each frame;
/// the last accepts all of IPv4.
pub(crate) fn filter(count: u32) -> Filter {
    let rules = [Direction::Ingress, Direction::Egress].into_iter().flat_map(|direction| {
        let rule = move |number| {
            if number == count { accept_all(direction, number) } else { miss(direction, number) }
        };
        (1..=count).map(rule)
    });
    Filter {
        name: NAME.to_owned(),
        network_services: vec![NetworkService::AmazonDns],
        rules: rules.collect(),
    }
}

/// The mirrored interface of the traffic's `number`th session, from 0.
pub(crate) fn eni(number: usize) -> Eni {
    let [.., high, low] = number.to_be_bytes();
    Eni {
        id: format!("eni-{number}"),
        mac: Some(MacAddress([6, 0, 0, 0, high, low])),
        ..Eni::default()
    }
}

fn accept_all(direction: Direction, number: u32) -> Rule {
    let anywhere = "0.0.0.0/0".parse().expect("a prefix");
    Rule {
        direction,
        number,
        action: Action::Accept,
        protocol: None,
        source: anywhere,
        destination: anywhere,
        source_ports: None,
        destination_ports: None,
    }
}

/// A rule that rejects traffic that does not occur. The addresses 192.0.2.0/24 and 203.0.113.0/24
/// are for documentation (RFC 5737), those of 198.18.0.0/15 for benchmarks (RFC 2544), and the
/// traffic has the latter.
fn miss(direction: Direction, number: u32) -> Rule {
    let prefix = |text: String| text.parse().expect("a prefix");
    let small = u16::try_from(number % 19 + 1).expect("a port");
    let ports = Some(PortRange { first: small, last: small });
    let host = number % 256;
    let rule = Rule { action: Action::Reject, ..accept_all(direction, number) };
    match number % 4 {
        0 => {
            Rule { protocol: Some(TCP), destination: prefix(format!("192.0.2.{host}/32")), ..rule }
        }
        1 => Rule { protocol: Some(UDP), source_ports: ports, destination_ports: ports, ..rule },
        2 => Rule {
            protocol: Some(TCP),
            source: prefix(format!("198.18.{host}.0/24")),
            destination_ports: ports,
            ..rule
        },
        _ => Rule { source: prefix(format!("203.0.113.{host}/32")), ..rule },
    }
}
