//! Converts the fields of rules into ranges of numbers, both ends included.

use ipnet::IpNet;

use crate::config::PortRange;

/// Number of a port that the packet does not show; above all ports.
pub(crate) const NO_PORT: u32 = 1 << 16;

/// Returns the lowest and the highest address of an IPv4 prefix.
pub(crate) fn v4(prefix: &IpNet) -> (u32, u32) {
    match prefix {
        IpNet::V4(prefix) => (prefix.network().to_bits(), prefix.broadcast().to_bits()),
        IpNet::V6(_) => unreachable!("rules are of one family"),
    }
}

/// Returns the lowest and the highest address of an IPv6 prefix.
pub(crate) fn v6(prefix: &IpNet) -> (u128, u128) {
    match prefix {
        IpNet::V6(prefix) => (prefix.network().to_bits(), prefix.broadcast().to_bits()),
        IpNet::V4(_) => unreachable!("rules are of one family"),
    }
}

/// Returns the lowest and the highest port that a rule matches, up to [`NO_PORT`] if it has no
/// range.
pub(crate) fn ports(range: Option<PortRange>) -> (u32, u32) {
    match range {
        None | Some(PortRange::ALL) => (0, NO_PORT),
        Some(PortRange { first, last }) => (first.into(), last.into()),
    }
}

/// Returns the lowest and the highest number that a rule's protocol matches.
pub(crate) fn protocol(protocol: Option<u8>) -> (u32, u32) {
    protocol.map_or((0, u8::MAX.into()), |number| (number.into(), number.into()))
}
