//! Offsets in an inner frame, and its Ethernet and IP headers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{FrameId, dns_message};
use crate::checksum::Sum;
use crate::direction::Direction;
use crate::inner_flow::Protocol;
use crate::payload_tag;

const ETHERNET_LEN: u16 = 14;
const KINDS: usize = 16;

/// All offsets from the frame's start at which a payload tag may begin.
pub(crate) const TAG_STARTS: [usize; KINDS] = {
    let kinds = Kind::all();
    let mut starts = [0; KINDS];
    let mut i = 0;
    while i < KINDS {
        starts[i] = FrameLayout::of(kinds[i]).tag_start() as usize;
        i += 1;
    }
    starts
};

/// Properties that decide a frame's layout.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    pub(super) is_ipv6: bool,
    pub(super) protocol: Protocol,
    pub(super) direction: Direction,
}

impl Kind {
    /// All kinds, each at its index.
    pub(super) const fn all() -> [Self; KINDS] {
        let mut all =
            [Self { is_ipv6: false, protocol: Protocol::Tcp, direction: Direction::Egress }; KINDS];
        let mut i = 0;
        while i < KINDS {
            all[i].is_ipv6 = i & 8 != 0;
            all[i].protocol = Protocol::ALL[i >> 1 & 3];
            all[i].direction = [Direction::Egress, Direction::Ingress][i & 1];
            i += 1;
        }
        all
    }

    pub(super) const fn index(self) -> usize {
        (self.is_ipv6 as usize) << 3 | (self.protocol as usize) << 1 | self.direction as usize
    }
}

/// Lengths in bytes of the parts before the payload tag.
#[derive(Debug, Clone, Copy)]
pub(super) struct FrameLayout {
    ip: u16,
    transport: u16,
    message: u16,
}

impl FrameLayout {
    pub(super) const fn of(kind: Kind) -> Self {
        let (transport, message) = match (kind.protocol, kind.direction) {
            (Protocol::Tcp, _) => (20, 0),
            (Protocol::Udp | Protocol::Icmp, _) => (8, 0),
            (Protocol::Dns, Direction::Egress) => (8, dns_message::QUERY_LEN),
            (Protocol::Dns, Direction::Ingress) => (8, dns_message::RESPONSE_LEN),
        };
        Self { ip: if kind.is_ipv6 { 40 } else { 20 }, transport, message }
    }

    pub(super) const fn transport_start(self) -> u16 {
        ETHERNET_LEN + self.ip
    }

    pub(super) const fn transport_end(self) -> u16 {
        self.transport_start() + self.transport
    }

    pub(super) const fn tag_start(self) -> u16 {
        self.transport_end() + self.message
    }

    /// Least length of a frame of this kind.
    #[expect(clippy::cast_possible_truncation, reason = "the payload tag takes 32 bytes")]
    pub(super) const fn tag_end(self) -> u16 {
        self.tag_start() + payload_tag::LEN as u16
    }
}

/// Appends the Ethernet and the IP header.
pub(super) fn write_ethernet_ip(id: FrameId<'_>, frame_len: u16, frame: &mut Vec<u8>) {
    frame.extend_from_slice(&ethernet(id));
    let [(source, _), (destination, _)] = id.flow.ends(id.direction);
    let ip_len = frame_len - ETHERNET_LEN;
    match (source, destination) {
        (IpAddr::V4(s), IpAddr::V4(d)) => frame.extend_from_slice(&ipv4(id, s, d, ip_len)),
        (IpAddr::V6(s), IpAddr::V6(d)) => frame.extend_from_slice(&ipv6(id, s, d, ip_len)),
        _ => unreachable!("both ends of a flow have the same address family"),
    }
}

/// Ethernet header: an outgoing frame goes from the mirrored interface's MAC address to the VPC
/// router's, an incoming one the other way.
fn ethernet(id: FrameId<'_>) -> [u8; 14] {
    let [high, low] = id.flow.session.to_be_bytes();
    let interface = [0x06, 0x00, 0x00, 0x00, high, low];
    let router = [0x06, 0xff, 0xff, 0xff, high, low];
    let (destination, source) = match id.direction {
        Direction::Egress => (router, interface),
        Direction::Ingress => (interface, router),
    };
    let mut bytes = [0; 14];
    bytes[0..6].copy_from_slice(&destination);
    bytes[6..12].copy_from_slice(&source);
    let ethertype: u16 = if id.flow.is_ipv6() { 0x86DD } else { 0x0800 };
    bytes[12..14].copy_from_slice(&ethertype.to_be_bytes());
    bytes
}

/// IP protocol number.
pub(super) const fn protocol_number(id: FrameId<'_>) -> u8 {
    match id.flow.protocol {
        Protocol::Tcp => 6,
        Protocol::Udp | Protocol::Dns => 17,
        Protocol::Icmp if id.flow.is_ipv6() => 58,
        Protocol::Icmp => 1,
    }
}

/// Local packets have Linux's default TTL; those of remote hosts have passed a few routers.
const fn ttl(direction: Direction) -> u8 {
    match direction {
        Direction::Egress => 64,
        Direction::Ingress => 57,
    }
}

fn ipv4(id: FrameId<'_>, source: Ipv4Addr, destination: Ipv4Addr, ip_len: u16) -> [u8; 20] {
    let mut bytes = [0; 20];
    bytes[0] = 0x45;
    bytes[2..4].copy_from_slice(&ip_len.to_be_bytes());
    bytes[4..6].copy_from_slice(&id.number16().to_be_bytes());
    // Don't fragment.
    bytes[6] = 0x40;
    bytes[8] = ttl(id.direction);
    bytes[9] = protocol_number(id);
    bytes[12..16].copy_from_slice(&source.octets());
    bytes[16..20].copy_from_slice(&destination.octets());
    let checksum = Sum::default().bytes(&bytes).finish();
    bytes[10..12].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

fn ipv6(id: FrameId<'_>, source: Ipv6Addr, destination: Ipv6Addr, ip_len: u16) -> [u8; 40] {
    let mut bytes = [0; 40];
    bytes[0] = 0x60;
    bytes[4..6].copy_from_slice(&(ip_len - 40).to_be_bytes());
    bytes[6] = protocol_number(id);
    bytes[7] = ttl(id.direction);
    bytes[8..24].copy_from_slice(&source.octets());
    bytes[24..40].copy_from_slice(&destination.octets());
    bytes
}
