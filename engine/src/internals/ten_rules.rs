//! A filter of ten rules, to measure with.

use crate::drop_reason::DropReason;
use crate::filter::Filter;
use crate::flow::{Addresses, Flow, Ports};
use crate::session::SessionId;

/// Stand-in for a filter that users write: takes the 5-tuple of each frame and walks ten rules, one after the other; the
/// first that matches decides. The first nine look for what the benches' traffic has not, each at another depth, so that
/// nearly every frame meets all of them; the last accepts everything.
#[derive(Clone, Debug)]
pub struct TenRules {
    rules: [Rule; 10],
}

/// What a rule asks of a frame, and what happens to a frame that has it.
#[derive(Clone, Debug)]
struct Rule {
    /// IANA's number; `None`: any.
    protocol: Option<u8>,
    source: Prefix,
    destination: Prefix,
    source_ports: PortRange,
    destination_ports: PortRange,
    accepts: bool,
}

/// An IPv4 prefix. The one of length zero has all addresses, IPv6 included; the others have none of IPv6.
#[derive(Clone, Copy, Debug)]
struct Prefix {
    address: u32,
    mask: u32,
}

/// The first and the last port. Frames without ports are in no range but the one that has all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PortRange(u16, u16);

const TCP: u8 = 6;
const UDP: u8 = 17;
const ANY_PORT: PortRange = PortRange(0, u16::MAX);
const ANYWHERE: Prefix = Prefix { address: 0, mask: 0 };
/// For documentation, RFC 5737: no traffic has it.
const NOWHERE: Prefix = Prefix { address: 0xc000_0200, mask: 0xffff_ff00 };
/// All addresses of version 4 that start with 1 as their highest bit.
const UPPER_HALF: Prefix = Prefix { address: 1 << 31, mask: 1 << 31 };

impl TenRules {
    /// The rules.
    pub fn new() -> Self {
        let rule = |protocol, source, destination, source_ports, destination_ports| Rule {
            protocol,
            source,
            destination,
            source_ports,
            destination_ports,
            accepts: false,
        };
        let (ssh, syslog, small) = (PortRange(22, 22), PortRange(514, 514), PortRange(1, 19));
        Self {
            rules: [
                rule(Some(TCP), NOWHERE, ANYWHERE, ANY_PORT, ANY_PORT),
                rule(Some(TCP), ANYWHERE, NOWHERE, ANY_PORT, ANY_PORT),
                rule(Some(UDP), ANYWHERE, NOWHERE, ANY_PORT, ANY_PORT),
                rule(Some(TCP), ANYWHERE, ANYWHERE, ANY_PORT, ssh),
                rule(Some(TCP), ANYWHERE, ANYWHERE, ssh, ANY_PORT),
                rule(Some(UDP), ANYWHERE, ANYWHERE, ANY_PORT, syslog),
                rule(Some(UDP), UPPER_HALF, ANYWHERE, syslog, ANY_PORT),
                rule(None, NOWHERE, ANYWHERE, ANY_PORT, ANY_PORT),
                rule(None, UPPER_HALF, UPPER_HALF, small, small),
                Rule { accepts: true, ..rule(None, ANYWHERE, ANYWHERE, ANY_PORT, ANY_PORT) },
            ],
        }
    }

    /// Whether the frame goes on. What is not IP matches the last rule only.
    #[inline]
    pub fn accepts(&self, inner: &[u8]) -> bool {
        match Flow::of(inner) {
            Some(flow) => self.rules.iter().find(|rule| rule.matches(&flow)).is_some_and(|rule| rule.accepts),
            None => true,
        }
    }
}

impl Default for TenRules {
    fn default() -> Self {
        Self::new()
    }
}

impl Filter for TenRules {
    #[inline]
    fn judge<'a>(&mut self, _session: SessionId, inner: impl FnOnce() -> &'a [u8]) -> Result<(), DropReason> {
        // The reasons have none for a filter yet; nothing that the benches send is refused.
        if self.accepts(inner()) { Ok(()) } else { Err(DropReason::UnknownSession) }
    }
}

impl Rule {
    #[inline]
    fn matches(&self, flow: &Flow) -> bool {
        let Self { protocol, source, destination, source_ports, destination_ports, accepts: _ } = *self;
        let has_addresses = || match flow.addresses {
            Addresses::V4 { source: from, destination: to } => source.has(from) && destination.has(to),
            Addresses::V6 { .. } => source.mask | destination.mask == 0,
        };
        let has_ports = || match flow.ports {
            Some(Ports { source: from, destination: to }) => {
                source_ports.has(from) && destination_ports.has(to)
            }
            None => source_ports == ANY_PORT && destination_ports == ANY_PORT,
        };
        protocol.is_none_or(|protocol| protocol == flow.protocol) && has_addresses() && has_ports()
    }
}

impl PortRange {
    #[inline]
    const fn has(self, port: u16) -> bool {
        self.0 <= port && port <= self.1
    }
}

impl Prefix {
    #[inline]
    const fn has(self, address: u32) -> bool {
        address & self.mask == self.address
    }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    fn frame(source: [u8; 4], ports: Option<(u16, u16)>) -> Vec<u8> {
        let mut frame = Vec::new();
        let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(source, [10, 0, 0, 2], 64);
        match ports {
            Some((from, to)) => builder.tcp(from, to, 1, 1).write(&mut frame, &[]).unwrap(),
            None => builder.icmpv4_echo_request(1, 1).write(&mut frame, &[]).unwrap(),
        }
        frame
    }

    #[test]
    fn the_first_rule_that_matches_decides_and_the_last_matches_all() {
        let rules = TenRules::new();
        assert!(rules.accepts(&frame([10, 0, 0, 1], Some((40_000, 443)))));
        assert!(!rules.accepts(&frame([10, 0, 0, 1], Some((40_000, 22)))), "the fourth");
        assert!(!rules.accepts(&frame([192, 0, 2, 9], Some((40_000, 443)))), "the first");
        assert!(rules.accepts(&frame([10, 0, 0, 1], None)));
        assert!(!rules.accepts(&frame([192, 0, 2, 9], None)), "the eighth");
        assert!(rules.accepts(&[0; 60]), "not IP");
    }

    #[test]
    fn what_the_benches_send_is_accepted() {
        let profile = vxtap_bench::Profile { count: Some(1000), ..vxtap_bench::Profile::default() };
        let mut traffic = vxtap_bench::Traffic::new(&profile).unwrap();
        let (mut frame, rules) = (Vec::new(), TenRules::new());
        for _ in 0..1000 {
            traffic.next_frame(&mut frame).unwrap();
            let inner = super::super::decap(&frame).expect("mirrored");
            assert!(rules.accepts(&frame[inner]));
        }
    }
}
