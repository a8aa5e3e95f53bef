//! A rule is called shadowed exactly when no packet can reach it.

use super::super::ranges;
use super::super::rules::first_match;
use super::super::shadow::{Shadowed, shadowed};
use super::*;

/// One packet of each piece into which the ends of the rules divide the world.
fn representatives(rules: &[Rule]) -> Vec<Flow> {
    let ports = |of: fn(&Rule) -> Option<PortRange>| {
        let mut starts: Vec<u32> = rules
            .iter()
            .map(|rule| ranges::ports(of(rule)))
            .flat_map(|(a, b)| [a, b + 1])
            .collect();
        starts.push(0);
        starts.retain(|&start| start <= 65_535);
        starts
    };
    let (source_ports, destination_ports) =
        (ports(|rule| rule.source_ports), ports(|rule| rule.destination_ports));
    let mut pairs = vec![None];
    for source in &source_ports {
        for destination in &destination_ports {
            let port = |port: &u32| u16::try_from(*port).unwrap();
            pairs.push(Some(Ports { source: port(source), destination: port(destination) }));
        }
    }
    let mut flows = Vec::new();
    for addresses in addresses(rules) {
        for protocol in [0, 1, 2, TCP, TCP + 1, UDP, UDP + 1, 58, 59, 255] {
            for ports in &pairs {
                flows.push(Flow { addresses, protocol, ports: *ports, is_fragment: false });
            }
        }
    }
    flows
}

fn addresses(rules: &[Rule]) -> Vec<Addresses> {
    let (mut v4, mut v6) = (vec![0], vec![0]);
    for prefix in rules.iter().flat_map(|rule| [&rule.source, &rule.destination]) {
        match prefix {
            ipnet::IpNet::V4(_) => {
                let (first, last) = ranges::v4(prefix);
                v4.extend([Some(first), last.checked_add(1)].into_iter().flatten());
            }
            ipnet::IpNet::V6(_) => {
                let (first, last) = ranges::v6(prefix);
                v6.extend([Some(first), last.checked_add(1)].into_iter().flatten());
            }
        }
    }
    v4.sort_unstable();
    v4.dedup();
    v6.sort_unstable();
    v6.dedup();
    let pairs = v4
        .iter()
        .flat_map(|&source| v4.iter().map(move |&to| Addresses::V4 { source, destination: to }));
    let six = v6
        .iter()
        .flat_map(|&source| v6.iter().map(move |&to| Addresses::V6 { source, destination: to }));
    pairs.chain(six).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn a_rule_is_shadowed_exactly_when_no_packet_reaches_it(rules in any_rules(6)) {
        let mut is_reached = vec![false; rules.len()];
        for flow in representatives(&rules) {
            if let Some(index) = first_match(&rules, &flow) {
                is_reached[index] = true;
            }
        }
        let unreached: Vec<u32> =
            rules.iter().zip(is_reached).filter(|(_, reached)| !reached).map(|(rule, _)| rule.number).collect();
        let found: Vec<u32> = shadowed(&rules).into_iter().map(|shadow| shadow.number).collect();
        prop_assert_eq!(found, unreached);
    }
}

#[test]
fn the_rules_that_match_instead_are_named() {
    let halves =
        ["0.0.0.0/1", "128.0.0.0/1"].map(|half| Rule { source: half.parse().unwrap(), ..rule(0) });
    let [mut low, mut high] = halves;
    (low.number, high.number) = (10, 20);
    let other =
        Rule { source: "::/0".parse().unwrap(), destination: "::/0".parse().unwrap(), ..rule(30) };
    let rules = [low, high, other, rule(40)];
    assert_eq!(shadowed(&rules), [Shadowed { number: 40, by: vec![10, 20] }]);
}
