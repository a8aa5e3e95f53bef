//! Filters: rules as AWS Traffic Mirroring has them, which choose the frames of a session.

use std::fmt;
use std::str::FromStr;

use ipnet::IpNet;

use super::capture_checks::check_prefix;
use super::error::{Problem, Violation};
use super::key::{Entry, KeyPath};
use super::keyword::{Keyword, keyword_of};
use super::limit::Limit;
use super::name::{Declared, check_name};
use super::unique::Seen;

/// Maximum number of rules per direction of a filter. The compiled list is a two-level bit set with
/// one bit per rule.
pub const RULES_MAX: u32 = 64 * 64;

pub(super) const RULE_NUMBER: Limit = Limit::Range(1, u32::MAX as u64);
/// IANA protocol numbers. 0 means any protocol, as in the EC2 API.
pub(super) const PROTOCOL: Limit = Limit::Range(0, 255);

/// IANA's protocol number of TCP.
pub const TCP: u8 = 6;
/// IANA's protocol number of UDP.
pub const UDP: u8 = 17;

/// Protocols that have a name here. <https://www.iana.org/assignments/protocol-numbers>
pub(super) const PROTOCOLS: &[(&str, u8)] = &[
    ("icmp", 1),
    ("igmp", 2),
    ("tcp", TCP),
    ("udp", UDP),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("icmpv6", 58),
    ("sctp", 132),
];

/// Returns the name of a protocol, if it is in the table of names.
pub fn protocol_name(number: u8) -> Option<&'static str> {
    PROTOCOLS.iter().find(|(_, other)| *other == number).map(|(name, _)| *name)
}

/// A filter. Table `[[filter]]` of the file. A frame that no rule matches is rejected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Name, 1 to 255 bytes without control characters, different from those of the other filters.
    pub name: String,
    /// Services whose traffic passes regardless of the rules; the traffic of a service that is not
    /// listed is dropped regardless of the rules.
    pub network_services: Vec<NetworkService>,
    /// The rules of both directions, in any order; at most [`RULES_MAX`] of each direction.
    pub rules: Vec<Rule>,
}

/// A service of AWS that a mirror leaves out unless its filter lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NetworkService {
    /// Amazon's DNS resolver.
    AmazonDns,
}

/// A rule. Table `[[filter.rule]]` of the file. It matches a frame that meets all its conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Direction of the frames that it applies to.
    pub direction: Direction,
    /// Priority: rules are evaluated in ascending order, and the first match decides. 1 or more,
    /// unique among the rules of a direction.
    pub number: u32,
    /// Action for a matching frame.
    pub action: Action,
    /// IANA's number of the protocol; `None`: any. Not 0, which means any in the EC2 API.
    pub protocol: Option<u8>,
    /// Source prefix, without host bits.
    pub source: IpNet,
    /// Destination prefix, without host bits, of the same address family.
    pub destination: IpNet,
    /// Source ports; `None`: any, or none. Only with TCP and UDP.
    pub source_ports: Option<PortRange>,
    /// Destination ports; `None`: any, or none. Only with TCP and UDP.
    pub destination_ports: Option<PortRange>,
}

/// The direction of a frame as the mirrored interface sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Towards the mirrored interface.
    Ingress,
    /// Away from it.
    Egress,
}

/// Action of a rule for a matching frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The frame passes.
    Accept,
    /// The frame is dropped.
    Reject,
}

/// Ports from the first to the last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PortRange {
    /// The lowest.
    pub first: u16,
    /// The highest, not below `first`.
    pub last: u16,
}

/// A text that is neither a port nor two with a hyphen between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither a port such as 22 nor a range such as 1024-65535")]
pub struct InvalidPortRange;

impl PortRange {
    /// All ports.
    pub const ALL: Self = Self { first: 0, last: u16::MAX };

    /// Returns `true` if the port is in the range.
    pub const fn has(self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }
}

impl FromStr for PortRange {
    type Err = InvalidPortRange;

    fn from_str(text: &str) -> Result<Self, InvalidPortRange> {
        let port = |text: &str| {
            let is_number = text.bytes().all(|digit| digit.is_ascii_digit());
            text.parse().ok().filter(|_| is_number).ok_or(InvalidPortRange)
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Ok(Self { first: port(first)?, last: port(last)? })
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, last } = self;
        if first == last { write!(f, "{first}") } else { write!(f, "{first}-{last}") }
    }
}

impl Keyword for NetworkService {
    const KEYWORDS: &'static [(&'static str, Self)] = &[("amazon-dns", Self::AmazonDns)];
}

impl Keyword for Direction {
    const KEYWORDS: &'static [(&'static str, Self)] =
        &[("ingress", Self::Ingress), ("egress", Self::Egress)];
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(keyword_of(*self))
    }
}

impl Keyword for Action {
    const KEYWORDS: &'static [(&'static str, Self)] =
        &[("accept", Self::Accept), ("reject", Self::Reject)];
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(keyword_of(*self))
    }
}

/// Returns the names of the filters, for references to them.
pub(super) fn declared(filters: &[Filter]) -> Declared<'_> {
    let names = filters.iter().map(|filter| filter.name.as_str());
    Declared::new("the name of a [[filter]]", names)
}

pub(super) fn check_filters(filters: &[Filter]) -> Result<(), Violation> {
    let mut names = Seen::default();
    for (position, Filter { name, network_services, rules }) in filters.iter().enumerate() {
        let entry = Entry { section: "filter", position };
        check_name(name, &mut names, entry, "name")?;
        let mut services = Seen::default();
        let key = |index| entry.key("network_services").index(index);
        for (index, service) in network_services.iter().enumerate() {
            let found = format_args!("{:?}", keyword_of(*service));
            services
                .insert(service, index, found, key)
                .map_err(|problem| problem.at(key(index)))?;
        }
        check_rules(rules, entry)?;
    }
    Ok(())
}

fn check_rules(rules: &[Rule], filter: Entry) -> Result<(), Violation> {
    let mut numbers = Seen::default();
    let key = |position| filter.key("rule").index(position);
    for (position, rule) in rules.iter().enumerate() {
        let Rule { direction, number, .. } = rule;
        let field = |name| key(position).key(name);
        RULE_NUMBER.check(*number).map_err(|problem| problem.at(field("number")))?;
        let found = format_args!("{direction} rule {number}");
        numbers
            .insert((direction, number), position, found, key)
            .map_err(|problem| problem.between(vec![field("number"), field("direction")]))?;
        check_rule(rule, field)?;
    }
    for (direction, things) in
        [(Direction::Ingress, "ingress rules"), (Direction::Egress, "egress rules")]
    {
        let found = rules.iter().filter(|rule| rule.direction == direction).count();
        if found > RULES_MAX as usize {
            return Err(Problem::TooMany { found, things, max: RULES_MAX }.at(filter.key("rule")));
        }
    }
    Ok(())
}

/// `key` returns the path of a key of the rule.
fn check_rule(rule: &Rule, key: impl Fn(&'static str) -> KeyPath) -> Result<(), Violation> {
    let Rule { protocol, source, destination, source_ports, destination_ports, .. } = rule;
    if *protocol == Some(0) {
        return Err(
            Problem::refused(0, "an integer from 1 to 255, or none for any").at(key("protocol"))
        );
    }
    for (name, prefix) in [("source", source), ("destination", destination)] {
        check_prefix(prefix).map_err(|problem| problem.at(key(name)))?;
    }
    if source.addr().is_ipv4() != destination.addr().is_ipv4() {
        let family = if source.addr().is_ipv4() { "IPv4" } else { "IPv6" };
        let allowed = format!("a prefix of {family}, as the source {source} is");
        return Err(Problem::refused(destination, allowed).at(key("destination")));
    }
    for (name, ports) in [("source_ports", source_ports), ("destination_ports", destination_ports)]
    {
        let Some(ports) = ports else { continue };
        if ports.first > ports.last {
            let allowed = "a range that begins with the lower port";
            return Err(Problem::refused(ports, allowed).at(key(name)));
        }
        if !matches!(protocol, Some(TCP | UDP)) {
            let allowed = "ports only with the protocol \"tcp\" or \"udp\"";
            return Err(Problem::refused(ports, allowed).at(key(name)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_as_they_are_written() {
        for (text, first, last) in [("22", 22, 22), ("0-65535", 0, 65_535), ("9-3", 9, 3)] {
            let range: PortRange = text.parse().unwrap();
            assert_eq!((range, range.to_string().as_str()), (PortRange { first, last }, text));
        }
        for wrong in ["", "-", "1-", "-1", "65536", "+1", "1 - 2", "1-2-3", "http"] {
            assert_eq!(wrong.parse::<PortRange>(), Err(InvalidPortRange), "{wrong}");
        }
    }
}
