//! The identity of a mirror session on the wire.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use vxtap_ebpf::parse::Source;

use super::Vni;

/// Outer source address and VNI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pair {
    /// Source address of the outer IP header: in AWS the primary address of the mirrored ENI.
    pub source: IpAddr,
    /// VNI of the tunnel header.
    pub vni: Vni,
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, vni } = self;
        write!(f, "VNI {vni} from {source}")
    }
}

/// A pair in the form in which tables are searched: IPv4 addresses as IPv4-mapped IPv6 ones (RFC 4291, 2.5.5.2), which
/// never are the source of a packet on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    source: u128,
    vni: u32,
}

impl Key {
    #[inline]
    pub(super) const fn new(source: Source, vni: Vni) -> Self {
        Self { source: source_bits(source), vni: vni.get() }
    }

    /// The pair that it stands for.
    pub(super) fn pair(self) -> Pair {
        let source = Ipv6Addr::from_bits(self.source).to_canonical();
        Pair { source, vni: Vni::new(self.vni).unwrap_or_default() }
    }
}

impl From<Pair> for Key {
    fn from(pair: Pair) -> Self {
        let source = match pair.source {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        Self { source: source.to_bits(), vni: pair.vni.get() }
    }
}

#[inline]
const fn source_bits(source: Source) -> u128 {
    const V4_MAPPED: u128 = 0xffff_0000_0000;
    match source {
        Source::V4(address) => V4_MAPPED | u32::from_be_bytes(address) as u128,
        Source::V6(address) => u128::from_be_bytes(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_and_the_bytes_on_the_wire_make_the_same_key() {
        let vni = Vni::new(77).unwrap();
        let pair = Pair { source: "10.1.2.3".parse().unwrap(), vni };
        assert_eq!(Key::from(pair), Key::new(Source::V4([10, 1, 2, 3]), vni));
        assert_eq!(Key::from(pair).pair(), pair);
        let address: Ipv6Addr = "2001:db8::5".parse().unwrap();
        let pair = Pair { source: address.into(), vni };
        assert_eq!(Key::from(pair), Key::new(Source::V6(address.octets()), vni));
        assert_eq!(Key::from(pair).pair(), pair);
        assert_eq!(pair.to_string(), "VNI 77 from 2001:db8::5");
    }
}
