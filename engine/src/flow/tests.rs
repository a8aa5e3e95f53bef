use etherparse::{LaxNetSlice, LaxSlicedPacket, PacketBuilder};
use proptest::prelude::*;

use vxtap_ebpf::wire::ipv6::{
    AUTHENTICATION, DESTINATION_OPTIONS, EXTENSION_HEADERS_MAX, FRAGMENT, HOP_BY_HOP, ROUTING,
};

use super::*;
use crate::session::SessionId;

const V4: ([u8; 4], [u8; 4]) = ([10, 0, 0, 1], [10, 0, 0, 2]);

fn udp_v4(ports: (u16, u16)) -> Vec<u8> {
    let mut frame = Vec::new();
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(V4.0, V4.1, 64);
    builder.udp(ports.0, ports.1).write(&mut frame, &[7; 8]).unwrap();
    frame
}

/// The same flow in the other direction.
fn reversed(flow: &Flow) -> Flow {
    let swap = |ports: Ports| Ports { source: ports.destination, destination: ports.source };
    let addresses = match flow.addresses {
        Addresses::V4 { source, destination } => {
            Addresses::V4 { source: destination, destination: source }
        }
        Addresses::V6 { source, destination } => {
            Addresses::V6 { source: destination, destination: source }
        }
    };
    Flow { addresses, ports: flow.ports.map(swap), ..*flow }
}

/// A frame as its parts say, with whatever behind.
#[derive(Clone, Debug)]
struct Made {
    vlan_tags: usize,
    is_v6: bool,
    addresses: [u8; 32],
    protocol: u8,
    /// IPv4: words of options. IPv6: which extension headers, a bit each, and their length.
    options: u8,
    /// In units of eight bytes.
    fragment_offset: u16,
    has_more: bool,
    payload: Vec<u8>,
}

impl Made {
    fn any() -> impl Strategy<Value = Self> {
        let protocol = prop_oneof![Just(TCP), Just(UDP), Just(SCTP), Just(1), Just(58), Just(50)];
        let fragment_offset = prop_oneof![3 => Just(0), 1 => 0_u16..0x1fff];
        let payload = prop::collection::vec(any::<u8>(), 0..40);
        let addresses = any::<[u8; 32]>();
        let ip = (
            any::<bool>(),
            addresses,
            protocol,
            0_u8..32,
            fragment_offset,
            prop::bool::weighted(0.2),
        );
        (0_usize..=2, ip, payload).prop_map(|(vlan_tags, ip, payload)| {
            let (is_v6, addresses, protocol, options, fragment_offset, has_more) = ip;
            Self {
                vlan_tags,
                is_v6,
                addresses,
                protocol,
                options,
                fragment_offset,
                has_more,
                payload,
            }
        })
    }

    fn frame(&self) -> Vec<u8> {
        let mut frame = vec![2; ethernet::ADDRESSES_LEN];
        for tag in ethernet::VLAN.iter().take(self.vlan_tags) {
            frame.extend(tag.to_be_bytes());
            frame.extend([0, 7]);
        }
        let packet = if self.is_v6 { self.v6() } else { self.v4() };
        frame.extend(if self.is_v6 { ethernet::IPV6 } else { ethernet::IPV4 }.to_be_bytes());
        frame.extend(packet);
        frame
    }

    fn v4(&self) -> Vec<u8> {
        let words = 5 + self.options % 11;
        let fragment = u16::from(self.has_more) << 13 | self.fragment_offset;
        let len = u16::try_from(usize::from(words) * 4 + self.payload.len()).unwrap();
        let mut packet = vec![0x40 | words, 0];
        packet.extend(len.to_be_bytes());
        packet.extend([0, 0]);
        packet.extend(fragment.to_be_bytes());
        packet.extend([64, self.protocol, 0, 0]);
        packet.extend(&self.addresses[..8]);
        packet.resize(usize::from(words) * 4, 1);
        packet.extend(&self.payload);
        packet
    }

    fn v6(&self) -> Vec<u8> {
        let kinds = [HOP_BY_HOP, DESTINATION_OPTIONS, ROUTING, FRAGMENT, AUTHENTICATION];
        let chosen: Vec<u8> =
            (0..5).filter(|bit| self.options >> bit & 1 == 1).map(|bit| kinds[bit]).collect();
        let nexts = chosen.iter().skip(1).copied().chain([self.protocol]);
        let mut headers = Vec::new();
        for (kind, next) in chosen.iter().zip(nexts) {
            match *kind {
                FRAGMENT => {
                    let offset_and_more = self.fragment_offset << 3 | u16::from(self.has_more);
                    headers.extend([next, 0]);
                    headers.extend(offset_and_more.to_be_bytes());
                    headers.extend([0; 4]);
                }
                AUTHENTICATION => headers.extend([next, 4].into_iter().chain([0; 22])),
                _ => headers.extend([next, 1].into_iter().chain([0; 14])),
            }
        }
        let len = u16::try_from(headers.len() + self.payload.len()).unwrap();
        let mut packet = vec![0x60, 0, 0, 0];
        packet.extend(len.to_be_bytes());
        packet.extend([chosen.first().copied().unwrap_or(self.protocol), 64]);
        packet.extend(self.addresses);
        packet.extend(headers);
        packet.extend(&self.payload);
        packet
    }
}

/// The flow as etherparse sees it; `is_first` is what the frame was made with.
fn second_opinion(frame: &[u8], is_first: bool) -> Option<Flow> {
    let packet = LaxSlicedPacket::from_ethernet(frame).ok()?;
    let (addresses, payload, is_fragment) = match packet.net.as_ref()? {
        LaxNetSlice::Ipv4(v4) => {
            let (source, destination) = (v4.header().source(), v4.header().destination());
            let addresses = Addresses::V4 {
                source: u32::from_be_bytes(source),
                destination: u32::from_be_bytes(destination),
            };
            (addresses, v4.payload(), v4.is_payload_fragmented())
        }
        LaxNetSlice::Ipv6(v6) => {
            let (source, destination) = (v6.header().source(), v6.header().destination());
            let addresses = Addresses::V6 {
                source: u128::from_be_bytes(source),
                destination: u128::from_be_bytes(destination),
            };
            (addresses, v6.payload(), v6.is_payload_fragmented())
        }
        LaxNetSlice::Arp(_) => return None,
    };
    let protocol = payload.ip_number.0;
    let has_ports = matches!(protocol, TCP | UDP | SCTP) && (is_first || !is_fragment);
    let ports =
        payload.payload.first_chunk::<4>().filter(|_| has_ports).map(|&[s0, s1, d0, d1]| Ports {
            source: u16::from_be_bytes([s0, s1]),
            destination: u16::from_be_bytes([d0, d1]),
        });
    Some(Flow { addresses, protocol, ports, is_fragment })
}

#[test]
fn a_plain_datagram_has_addresses_protocol_and_ports() {
    let flow = Flow::of(&udp_v4((53, 4000)));
    assert_eq!(
        flow,
        Some(Flow {
            addresses: Addresses::V4 { source: 0x0a00_0001, destination: 0x0a00_0002 },
            protocol: UDP,
            ports: Some(Ports { source: 53, destination: 4000 }),
            is_fragment: false,
        })
    );
    assert_eq!(flow, Flow::of_plain(&udp_v4((53, 4000))), "it takes the short way");
}

#[test]
fn what_is_not_ip_has_no_flow() {
    let mut arp = vec![2; 60];
    arp[12..14].copy_from_slice(&[0x08, 0x06]);
    assert_eq!(Flow::of(&arp), None);
    let mut wrong_version = udp_v4((1, 2));
    wrong_version[14] = 0x65;
    assert_eq!(Flow::of(&wrong_version), None);
    let mut short_header = udp_v4((1, 2));
    short_header[14] = 0x44;
    assert_eq!(Flow::of(&short_header), None);
}

#[test]
fn a_longer_chain_of_extension_headers_is_not_followed() {
    let chain = |count: usize| {
        let mut frame = vec![2; ethernet::ADDRESSES_LEN];
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 0, DESTINATION_OPTIONS, 64]);
        frame.extend([1; 32]);
        for nth in 1..=count {
            let next = if nth == count { UDP } else { DESTINATION_OPTIONS };
            frame.extend([next, 0, 0, 0, 0, 0, 0, 0]);
        }
        frame.extend([0, 1, 0, 2]);
        Flow::of(&frame).map(|flow| (flow.protocol, flow.ports))
    };
    let ports = Ports { source: 1, destination: 2 };
    assert_eq!(chain(EXTENSION_HEADERS_MAX), Some((UDP, Some(ports))));
    assert_eq!(chain(EXTENSION_HEADERS_MAX + 1), Some((DESTINATION_OPTIONS, None)));
}

#[test]
fn the_fragments_of_a_packet_share_a_number() {
    let part = |fragment: u16| {
        let mut frame = udp_v4((1000 + fragment, 2000));
        frame[20..22].copy_from_slice(&fragment.to_be_bytes());
        Flow::of(&frame).unwrap()
    };
    let (first, last) = (part(0x2000), part(0x0005));
    assert_eq!((first.ports.is_some(), last.ports.is_some()), (true, false));
    assert_eq!(first.hash(SessionId(1), 7), last.hash(SessionId(1), 7));
    assert_ne!(first.hash(SessionId(1), 7), part(0).hash(SessionId(1), 7));
}

#[test]
fn flows_spread_evenly_over_the_members_of_a_group() {
    let mut members = [0; 8];
    for port in 0..8000 {
        let flow = Flow::of(&udp_v4((1024 + port, 443))).unwrap();
        members[usize::try_from(flow.hash(SessionId(1), 3) % 8).unwrap()] += 1;
    }
    assert!(members.iter().all(|count| (850..=1150).contains(count)), "{members:?}");
}

proptest! {
    #[test]
    fn the_flow_is_the_one_that_etherparse_sees_wherever_the_frame_is_cut(made in Made::any(), cut in 0_usize..300) {
        // etherparse looks for a further extension header in each fragment; all but the first have
        // none.
        let has_both = made.is_v6 && made.options & 0b1_1000 == 0b1_1000;
        prop_assume!(!has_both || made.fragment_offset == 0);
        let mut frame = made.frame();
        frame.truncate(cut);
        prop_assert_eq!(Flow::of(&frame), second_opinion(&frame, made.fragment_offset == 0));
    }

    #[test]
    fn the_short_way_says_nothing_else_than_the_long_one(
        changes in prop::collection::vec((12_usize..42, any::<u8>()), 0..4), len in 30_usize..50,
    ) {
        let mut frame = udp_v4((53, 4000));
        for (place, byte) in changes {
            frame[place] = byte;
        }
        frame.truncate(len);
        if let Some(flow) = Flow::of_plain(&frame) {
            prop_assert_eq!(Some(flow), Flow::of_any(&frame));
        }
    }

    #[test]
    fn both_directions_have_the_same_number_and_other_flows_sessions_and_seeds_another(
        made in Made::any(), session in 0_u32..0x00ff_ffff, seed: u64,
    ) {
        let Some(flow) = Flow::of(&made.frame()) else { return Ok(()) };
        let (here, number) = (SessionId(session), flow.hash(SessionId(session), seed));
        prop_assert_eq!(reversed(&flow).hash(here, seed), number);
        prop_assert_ne!(flow.hash(SessionId(session + 1), seed), number);
        prop_assert_ne!(flow.hash(here, seed ^ 1), number);
        if let Flow { ports: Some(ports), is_fragment: false, .. } = flow {
            let other = Ports { source: ports.source ^ 0x8000, ..ports };
            if other.source != ports.destination {
                prop_assert_ne!(Flow { ports: Some(other), ..flow }.hash(here, seed), number);
            }
        }
    }

    #[test]
    fn whatever_the_bytes_nothing_panics(mut frame in prop::collection::vec(any::<u8>(), 0..120), kind in 0_u8..3) {
        if let Some(ether_type) = frame.get_mut(12..14) {
            match kind {
                0 => ether_type.copy_from_slice(&[0x08, 0x00]),
                1 => ether_type.copy_from_slice(&[0x86, 0xdd]),
                _ => {}
            }
        }
        let _ = Flow::of(&frame).map(|flow| flow.hash(SessionId(1), 2));
    }
}
