//! The inner flows of a profile: addresses, ports and protocols.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::bit_hash::hash;
use crate::direction::Direction;
use crate::profile::{MirrorSession, Profile, ProtocolMix};

/// First port of the dynamic range and of the outer source ports respectively.
const DYNAMIC_PORTS: u16 = 49_152;
/// First of the 128 outer source ports that an AWS mirror was seen to use; the inner flow's hash is
/// added.
const OUTER_PORTS: u16 = 65_408;
/// The resolver that Amazon offers at the same address in every VPC.
const RESOLVER_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 253);
const RESOLVER_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x253);
/// Prefixes set aside for benchmarks: 198.18.0.0/15 (RFC 2544 appendix C.2.2), `2001:2::/48` (RFC
/// 5180 section 8).
const REMOTE_V4: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);
const REMOTE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0);

/// Independent streams of the seed's random numbers, one per purpose.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RandomStream {
    Flows,
    Filler,
    Order,
}

/// Returns the generator for one purpose; the same seed and purpose give the same numbers
/// everywhere.
pub(crate) fn random(seed: u64, stream: RandomStream) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    let mut random = ChaCha8Rng::from_seed(key);
    random.set_stream(stream as u64);
    random
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Tcp,
    Udp,
    Dns,
    Icmp,
}

impl Protocol {
    pub(crate) const ALL: [Self; 4] = [Self::Tcp, Self::Udp, Self::Dns, Self::Icmp];
}

/// An inner flow. `local` is the mirrored interface's side, `remote` the other.
#[derive(Debug, Clone)]
pub(crate) struct InnerFlow {
    pub(crate) session: u16,
    /// Number within the session.
    pub(crate) number: u16,
    pub(crate) protocol: Protocol,
    pub(crate) local: IpAddr,
    pub(crate) remote: IpAddr,
    /// For ICMP the identifier, in both fields.
    pub(crate) local_port: u16,
    pub(crate) remote_port: u16,
    /// Direction of the first frame; after that they alternate.
    pub(crate) first: Direction,
    /// Position in the cycle of lengths at which the flow starts.
    pub(crate) size_start: u32,
    /// Initial TCP sequence number of each direction.
    pub(crate) initial: [u32; 2],
}

impl InnerFlow {
    pub(crate) const fn is_ipv6(&self) -> bool {
        self.local.is_ipv6()
    }

    /// Source and destination of a frame in this direction.
    pub(crate) const fn ends(&self, direction: Direction) -> [(IpAddr, u16); 2] {
        let (local, remote) = ((self.local, self.local_port), (self.remote, self.remote_port));
        match direction {
            Direction::Egress => [local, remote],
            Direction::Ingress => [remote, local],
        }
    }

    /// Outer UDP source port of a frame in this direction.
    ///
    /// In a capture from AWS both directions of a flow had the same port, one of 128, except that
    /// all answers of the VPC's resolver had the first.
    #[expect(clippy::cast_possible_truncation, reason = "masked to 7 bits")]
    pub(crate) fn outer_port(&self, direction: Direction) -> u16 {
        if self.protocol == Protocol::Dns && direction == Direction::Ingress {
            return OUTER_PORTS;
        }
        let end = |(address, port): (IpAddr, u16)| match address {
            IpAddr::V4(v4) => hash(u64::from(v4.to_bits()) << 16 | u64::from(port)),
            IpAddr::V6(v6) => {
                let bits = v6.to_bits();
                hash(hash(bits as u64) ^ (bits >> 64) as u64 ^ u64::from(port))
            }
        };
        // A sum, so that swapping the ends changes nothing.
        let [source, destination] = self.ends(direction);
        let hash = hash(end(source).wrapping_add(end(destination)) ^ self.protocol as u64);
        OUTER_PORTS + (hash & 0x7F) as u16
    }
}

/// Makes the flows of all sessions, session by session.
pub(crate) fn table(profile: &Profile) -> Vec<InnerFlow> {
    let mut random = random(profile.seed, RandomStream::Flows);
    let mut schedule = WeightedRoundRobin::new(profile);
    let mut flows = Vec::new();
    for (session, index) in profile.sessions.iter().zip(0..=u16::MAX) {
        let offset = random.next_u32();
        for number in (0..=u16::MAX).take(profile.flows_per_session as usize) {
            let (protocol, is_ipv6) = schedule.next();
            let position = FlowPosition { session, index, number, shift: offset };
            flows.push(position.flow(protocol, is_ipv6, &mut random));
        }
    }
    flows
}

/// Position of a flow in the profile, which decides its addresses.
struct FlowPosition<'a> {
    session: &'a MirrorSession,
    index: u16,
    number: u16,
    /// Makes addresses and ports differ from session to session and from seed to seed.
    shift: u32,
}

impl FlowPosition<'_> {
    fn flow(&self, protocol: Protocol, is_ipv6: bool, random: &mut ChaCha8Rng) -> InnerFlow {
        let low = |n: u32| (n & 0x3FFF) as u16;
        let client = DYNAMIC_PORTS + low(self.shift.wrapping_add(self.number.into()));
        let server = DYNAMIC_PORTS + low(random.next_u32());
        let outgoing = random.next_u32() & 1 == 0;
        let is_dns = protocol == Protocol::Dns;
        let (local_port, remote_port) = match protocol {
            Protocol::Dns => (client, 53),
            Protocol::Icmp => (client, client),
            _ if outgoing => (client, server),
            _ => (server, client),
        };
        InnerFlow {
            session: self.index,
            number: self.number,
            protocol,
            local: self.local(is_ipv6),
            remote: if is_dns { resolver(is_ipv6) } else { self.remote(is_ipv6) },
            local_port,
            remote_port,
            first: if outgoing || is_dns { Direction::Egress } else { Direction::Ingress },
            size_start: u32::from(low(random.next_u32())),
            initial: [random.next_u32(), random.next_u32()],
        }
    }

    /// The mirrored interface's address: the outer source if the family matches.
    fn local(&self, is_ipv6: bool) -> IpAddr {
        match self.session.source {
            source if source.is_ipv6() == is_ipv6 => source,
            _ if is_ipv6 => Ipv6Addr::new(0xfd00, 0x7678, 0, 0, 0, 0, self.index, 5).into(),
            _ => Ipv4Addr::from_bits(0x0A80_0000 | u32::from(self.index) << 4 | 5).into(),
        }
    }

    /// A remote address of the flow's own, so that no two flows of a session have the same
    /// addresses and ports.
    fn remote(&self, is_ipv6: bool) -> IpAddr {
        let host = self.shift.wrapping_add(self.number.into()) & 0x1_FFFF;
        if is_ipv6 {
            Ipv6Addr::from_bits(REMOTE_V6.to_bits() | u128::from(host)).into()
        } else {
            Ipv4Addr::from_bits(REMOTE_V4.to_bits() | host).into()
        }
    }
}

const fn resolver(is_ipv6: bool) -> IpAddr {
    if is_ipv6 { IpAddr::V6(RESOLVER_V6) } else { IpAddr::V4(RESOLVER_V4) }
}

/// Weighted round robin over protocols and address families: any run of flows is as close to the
/// shares as possible.
struct WeightedRoundRobin {
    weights: [i64; 4],
    credit: [i64; 4],
    ipv6_percent: u8,
    ipv6_credit: [u8; 4],
}

impl WeightedRoundRobin {
    fn new(profile: &Profile) -> Self {
        let ProtocolMix { tcp, udp, dns, icmp } = profile.mix;
        Self {
            weights: [tcp, udp, dns, icmp].map(i64::from),
            credit: [0; 4],
            ipv6_percent: profile.ipv6_percent,
            ipv6_credit: [0; 4],
        }
    }

    fn next(&mut self) -> (Protocol, bool) {
        let mut richest = 0;
        for i in 0..4 {
            self.credit[i] += self.weights[i];
            if self.credit[i] > self.credit[richest] {
                richest = i;
            }
        }
        self.credit[richest] -= self.weights.iter().sum::<i64>();
        let credit = &mut self.ipv6_credit[richest];
        *credit += self.ipv6_percent;
        let is_ipv6 = *credit >= 100;
        if is_ipv6 {
            *credit -= 100;
        }
        (Protocol::ALL[richest], is_ipv6)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn shares_of_protocols_and_families_are_exact_over_a_hundred_flows() {
        let profile = Profile { flows_per_session: 100, ..Profile::default() };
        let flows = &table(&profile)[..100];
        let count = |protocol| flows.iter().filter(|f| f.protocol == protocol).count();
        assert_eq!(Protocol::ALL.map(count), [60, 25, 10, 5]);
        assert_eq!(flows.iter().filter(|f| f.is_ipv6()).count(), 20);
    }

    #[test]
    fn a_share_that_divides_nothing_evenly_is_met_all_the_same() {
        let profile = Profile {
            flows_per_session: 100,
            ipv6_percent: 37,
            mix: "udp=1".parse().expect("a mix"),
            ..Profile::default()
        };
        assert_eq!(table(&profile)[..100].iter().filter(|f| f.is_ipv6()).count(), 37);
    }

    #[test]
    fn a_protocol_without_weight_has_no_flow() {
        let profile =
            Profile { mix: ProtocolMix { tcp: 0, udp: 0, dns: 1, icmp: 0 }, ..Profile::default() };
        assert!(table(&profile).iter().all(|f| f.protocol == Protocol::Dns));
    }

    #[test]
    fn no_two_flows_of_a_session_share_addresses_and_ports() {
        let flows_per_session = crate::profile::MAX_FLOWS_PER_SESSION;
        let profile = Profile { flows_per_session, ..Profile::default() };
        let (mut seen, mut remotes) = (HashSet::new(), HashSet::new());
        for flow in table(&profile) {
            let is_new =
                seen.insert((flow.session, flow.protocol as u8, flow.ends(Direction::Egress)));
            assert!(is_new, "{flow:?}");
            let is_own =
                flow.protocol == Protocol::Dns || remotes.insert((flow.session, flow.remote));
            assert!(is_own, "{flow:?}");
        }
    }

    #[test]
    fn outer_ports_use_all_of_the_128_and_nothing_else() {
        let profile = Profile { flows_per_session: 1000, ..Profile::default() };
        let ports: HashSet<u16> =
            table(&profile).iter().map(|f| f.outer_port(Direction::Egress)).collect();
        assert_eq!(ports.len(), 128);
        assert!(ports.iter().all(|&p| p >= 65_408));
    }
}
