//! Builds mirrored frames of every kind, without the code of the engine under test.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{IpNumber, Ipv4Header, Ipv6FlowLabel, Ipv6Header, PacketBuilder};
use vxtap::ring::{Encapsulation, Gwlb};

/// Addresses of the mirror and of the receiving end.
pub(crate) const SOURCE_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(crate) const TARGET_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
pub(crate) const SOURCE_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
pub(crate) const TARGET_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);
/// Addresses of the mirror behind a Gateway Load Balancer.
const BEHIND_V4: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 5);
const BEHIND_V6: Ipv6Addr = Ipv6Addr::new(0xfd16, 0, 0, 0, 0, 0, 0, 5);

/// Tags of one and of two VLANs.
pub(crate) const VLANS: [&[(u16, u16)]; 3] = [&[], &[(0x8100, 10)], &[(0x88a8, 20), (0x8100, 30)]];

/// Kind of an inner frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inside {
    V4,
    V6,
    Arp,
    Vlan,
}

/// One combination of tunnel, outer headers and inner frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) encapsulation: Encapsulation,
    pub(crate) outer_is_v6: bool,
    pub(crate) vlans: usize,
    pub(crate) inside: Inside,
    /// Bytes of the inner frame.
    pub(crate) len: usize,
}

/// A case as it is sent, and the frame and metadata that have to come out.
#[derive(Clone, Debug)]
pub(crate) struct Mirrored {
    pub(crate) case: Case,
    /// The outer frame.
    pub(crate) frame: Vec<u8>,
    pub(crate) inner: Vec<u8>,
    pub(crate) source: IpAddr,
    pub(crate) vni: u32,
    pub(crate) gwlb: Option<Gwlb>,
}

/// Returns every combination.
pub(crate) fn all_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for encapsulation in [Encapsulation::Vxlan, Encapsulation::Geneve, Encapsulation::GeneveVxlan] {
        for outer_is_v6 in [false, true] {
            for vlans in 0..VLANS.len() {
                for inside in [Inside::V4, Inside::V6, Inside::Arp, Inside::Vlan] {
                    for len in [64, 1400, 8900] {
                        cases.push(Case { encapsulation, outer_is_v6, vlans, inside, len });
                    }
                }
            }
        }
    }
    cases
}

impl Mirrored {
    /// Builds a case for the interface with this address. `number`, up to 65535, makes it different
    /// from all others.
    pub(crate) fn new(case: Case, number: u16, receiver_mac: [u8; 6]) -> Self {
        let inner = inner(case.inside, case.len, number);
        let vni = 1000 + u32::from(number);
        let gwlb = Gwlb {
            endpoint_id: 0x0123_4567_89ab_0000 + u64::from(number),
            attachment_id: 0x1111_2222_3333_4444,
            flow_cookie: 0xdead_0000 + u32::from(number),
        };
        let (source, target) = ends(case.outer_is_v6, false);
        let (tunnel, port, mirror, gwlb) = match case.encapsulation {
            Encapsulation::Vxlan => (vxlan(vni, &inner), 4789, source, None),
            Encapsulation::Geneve => {
                (geneve(0x6558, vni, &[0, 1, 0x80, 1, 1, 2, 3, 4], &inner), 6081, source, None)
            }
            Encapsulation::GeneveVxlan => {
                let (mirror, behind) = ends(case.outer_is_v6, true);
                let packet = packet(mirror, behind, 4789, &vxlan(vni, &inner));
                let protocol = if case.outer_is_v6 { 0x86dd } else { 0x0800 };
                (geneve(protocol, 0, &gwlb_options(&gwlb), &packet), 6081, mirror, Some(gwlb))
            }
        };
        let packet = packet(source, target, port, &tunnel);
        let mut frame = [&receiver_mac[..], &[2, 0, 0, 0, 0, 1]].concat();
        for (ether_type, id) in VLANS[case.vlans] {
            frame.extend([ether_type.to_be_bytes(), id.to_be_bytes()].concat());
        }
        frame.extend(if case.outer_is_v6 { [0x86, 0xdd] } else { [0x08, 0x00] });
        frame.extend(&packet);
        Self { case, frame, inner, source: mirror, vni, gwlb }
    }

    /// Returns the bytes between the outer Ethernet header and the inner frame.
    pub(crate) fn outer(&self) -> &[u8] {
        &self.frame[14 + 4 * self.case.vlans..self.frame.len() - self.inner.len()]
    }
}

fn ends(is_v6: bool, is_behind: bool) -> (IpAddr, IpAddr) {
    match (is_v6, is_behind) {
        (false, false) => (SOURCE_V4.into(), TARGET_V4.into()),
        (true, false) => (SOURCE_V6.into(), TARGET_V6.into()),
        (false, true) => (BEHIND_V4.into(), TARGET_V4.into()),
        (true, true) => (BEHIND_V6.into(), TARGET_V6.into()),
    }
}

/// Builds an inner frame of `len` bytes with the number in its last two.
pub(crate) fn inner(inside: Inside, len: usize, number: u16) -> Vec<u8> {
    const MACS: [u8; 12] = [2, 0xaa, 0, 0, 0, 1, 2, 0xbb, 0, 0, 0, 1];
    let fill = |frame: &mut Vec<u8>| {
        let seed = usize::from(number);
        let at = frame.len();
        frame.extend((at..len).map(|at| ((at * 7 + seed * 13) % 253).to_le_bytes()[0]));
        let end = frame.len() - 2;
        frame[end..].copy_from_slice(&number.to_be_bytes());
    };
    let mut payload = Vec::new();
    match inside {
        Inside::Arp => {
            let mut frame = [&MACS[..], &[0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1]].concat();
            fill(&mut frame);
            return frame;
        }
        Inside::V4 => payload.resize(14 + 20 + 8, 0),
        Inside::V6 => payload.resize(14 + 40 + 8, 0),
        Inside::Vlan => payload.resize(14 + 4 + 20 + 8, 0),
    }
    let headers = payload.len();
    fill(&mut payload);
    let payload = &payload[headers..];
    let ethernet = PacketBuilder::ethernet2([2, 0xbb, 0, 0, 0, 1], [2, 0xaa, 0, 0, 0, 1]);
    let mut frame = Vec::new();
    let v4 = ([10, 1, 2, 3], [10, 4, 5, 6], 64);
    match inside {
        Inside::V6 => ethernet.ipv6([3; 16], [4; 16], 64).udp(1, number).write(&mut frame, payload),
        Inside::Vlan => {
            let vlan = ethernet.single_vlan(5.try_into().expect("12 bits"));
            vlan.ipv4(v4.0, v4.1, v4.2).udp(1, number).write(&mut frame, payload)
        }
        Inside::V4 | Inside::Arp => {
            ethernet.ipv4(v4.0, v4.1, v4.2).udp(1, number).write(&mut frame, payload)
        }
    }
    .expect("a buffer takes it");
    assert_eq!(frame.len(), len);
    frame
}

pub(crate) fn vxlan(vni: u32, inner: &[u8]) -> Vec<u8> {
    [&[8, 0, 0, 0], &(vni << 8).to_be_bytes()[..], inner].concat()
}

pub(crate) fn geneve(protocol: u16, vni: u32, options: &[u8], inner: &[u8]) -> Vec<u8> {
    let words = u8::try_from(options.len() / 4).expect("options have 252 bytes at most");
    [&[words, 0], &protocol.to_be_bytes()[..], &(vni << 8).to_be_bytes(), options, inner].concat()
}

/// Builds the three options of a Gateway Load Balancer.
pub(crate) fn gwlb_options(gwlb: &Gwlb) -> Vec<u8> {
    [
        &[0x01, 0x08, 1, 2][..],
        &gwlb.endpoint_id.to_be_bytes(),
        &[0x01, 0x08, 2, 2],
        &gwlb.attachment_id.to_be_bytes(),
        &[0x01, 0x08, 3, 1],
        &gwlb.flow_cookie.to_be_bytes(),
    ]
    .concat()
}

/// Builds an IP packet with a UDP datagram without checksum, as AWS sends them.
pub(crate) fn packet(source: IpAddr, target: IpAddr, port: u16, payload: &[u8]) -> Vec<u8> {
    let udp_len = u16::try_from(8 + payload.len()).expect("a datagram has 65507 bytes at most");
    let mut bytes = Vec::new();
    match (source, target) {
        (IpAddr::V4(source), IpAddr::V4(target)) => {
            let header =
                Ipv4Header::new(udp_len, 64, IpNumber::UDP, source.octets(), target.octets());
            let mut header = header.expect("it fits");
            header.header_checksum = header.calc_header_checksum();
            header.write(&mut bytes).expect("a buffer takes it");
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let header = Ipv6Header {
                traffic_class: 0,
                flow_label: Ipv6FlowLabel::ZERO,
                payload_length: udp_len,
                next_header: IpNumber::UDP,
                hop_limit: 64,
                source: source.octets(),
                destination: destination.octets(),
            };
            header.write(&mut bytes).expect("a buffer takes it");
        }
        _ => panic!("one family"),
    }
    bytes.extend(
        [
            &65_400_u16.to_be_bytes()[..],
            &port.to_be_bytes(),
            &udp_len.to_be_bytes(),
            &[0, 0],
            payload,
        ]
        .concat(),
    );
    bytes
}
