//! Which conversation does a frame belong to? The inner 5-tuple, and a hash that both directions
//! share.
//!
//! Looks at headers only, and at no length or checksum in them: the mirror may have cut the frame,
//! and a NIC with segmentation offload leaves them unset. What lies behind the VLAN tags counts,
//! the tags themselves do not: they may differ by direction. Says nothing about the session, which
//! is outside of the tunnel.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use vxtap_ebpf::parse::{Bytes, EXTENSION_HEADERS_MAX};

use crate::config::protocol_name;
use crate::decap::Link;

mod hash;

/// Source and destination address, as numbers in host byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Addresses {
    /// IPv4.
    V4 { source: u32, destination: u32 },
    /// IPv6.
    V6 { source: u128, destination: u128 },
}

impl Addresses {
    pub(crate) fn source(&self) -> IpAddr {
        match *self {
            Self::V4 { source, .. } => Ipv4Addr::from_bits(source).into(),
            Self::V6 { source, .. } => Ipv6Addr::from_bits(source).into(),
        }
    }

    pub(crate) fn destination(&self) -> IpAddr {
        match *self {
            Self::V4 { destination, .. } => Ipv4Addr::from_bits(destination).into(),
            Self::V6 { destination, .. } => Ipv6Addr::from_bits(destination).into(),
        }
    }
}

/// Source and destination port, host byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ports {
    pub(crate) source: u16,
    pub(crate) destination: u16,
}

/// The 5-tuple of a frame, as the frame itself tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flow {
    pub(crate) addresses: Addresses,
    /// IANA's number of what follows the IP header, or its extension headers. In a fragment but the
    /// first, and behind more than [`EXTENSION_HEADERS_MAX`] extension headers, it may be the
    /// number of an extension header.
    pub(crate) protocol: u8,
    /// Of TCP, UDP and SCTP, if they are here: not in fragments but the first, and not if the frame
    /// is cut before.
    pub(crate) ports: Option<Ports>,
    /// The packet is one part of a larger one.
    pub(crate) is_fragment: bool,
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, destination) = (self.addresses.source(), self.addresses.destination());
        match self.ports {
            Some(ports) => {
                let [from, to] = [(source, ports.source), (destination, ports.destination)]
                    .map(SocketAddr::from);
                write!(f, "{from} > {to} ")?;
            }
            None => write!(f, "{source} > {destination} ")?,
        }
        match protocol_name(self.protocol) {
            Some(name) => f.write_str(name)?,
            None => write!(f, "protocol {}", self.protocol)?,
        }
        f.write_str(if self.is_fragment { ", fragment" } else { "" })
    }
}

const ETHERNET_ADDRESSES_LEN: usize = 12;
const ETHER_TYPE_IPV4: u16 = 0x0800;
const ETHER_TYPE_IPV6: u16 = 0x86dd;
/// IEEE 802.1Q, `IEEE 802.1ad`, and what equipment used for the outer tag before 802.1ad.
const ETHER_TYPES_VLAN: [u16; 3] = [0x8100, 0x88a8, 0x9100];
const VLAN_TAG_LEN: usize = 4;
const VLAN_TAGS_MAX: usize = 2;

const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;

/// Next header values of the extension headers that are walked.
/// <https://www.iana.org/assignments/ipv6-parameters>
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;

/// Ethernet, IPv4 without options, ports.
const PLAIN_LEN: usize = 14 + 20 + 4;

impl Flow {
    /// Walks an Ethernet frame: up to two VLAN tags, IPv4 with options or IPv6 with extension
    /// headers, ports. `None` if there is no whole IP header; extension headers may be missing.
    #[inline]
    pub(crate) fn of(frame: &[u8]) -> Option<Self> {
        Self::of_plain(frame).or_else(|| Self::of_any(frame))
    }

    /// [`Self::of`], for a frame that may have no Ethernet header.
    #[inline]
    pub(crate) fn in_frame(frame: &[u8], link: Link) -> Option<Self> {
        match link {
            Link::Ethernet => Self::of(frame),
            Link::Ip => Self::of_packet(frame),
        }
    }

    /// [`Self::of`], for an IP packet.
    fn of_packet(packet: &[u8]) -> Option<Self> {
        match packet.first()? >> 4 {
            4 => ipv4(packet, 0),
            6 => ipv6(packet, 0),
            _ => None,
        }
    }

    /// [`Self::of`] for what almost all frames are, with a single check of the length: untagged,
    /// whole IPv4 packets without options, TCP or UDP. `None` for everything else; never says
    /// anything else than [`Self::of_any`].
    #[inline]
    fn of_plain(frame: &[u8]) -> Option<Self> {
        let head: &[u8; PLAIN_LEN] = frame.first_chunk()?;
        let be16 = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
        let be32 =
            |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let is_plain = be32(12) & 0xffff_ff00 == 0x0800_4500 && be16(20) & IPV4_FRAGMENT_MASK == 0;
        let protocol = head[23];
        if !is_plain || !matches!(protocol, TCP | UDP) {
            return None;
        }
        Some(Self {
            addresses: Addresses::V4 { source: be32(26), destination: be32(30) },
            protocol,
            ports: Some(Ports { source: be16(34), destination: be16(36) }),
            is_fragment: false,
        })
    }

    /// [`Self::of`] for everything.
    fn of_any(frame: &[u8]) -> Option<Self> {
        let mut offset = ETHERNET_ADDRESSES_LEN;
        let mut ether_type = u16_at(frame, offset)?;
        for _ in 0..VLAN_TAGS_MAX {
            if !ETHER_TYPES_VLAN.contains(&ether_type) {
                break;
            }
            offset += VLAN_TAG_LEN;
            ether_type = u16_at(frame, offset)?;
        }
        match ether_type {
            ETHER_TYPE_IPV4 => ipv4(frame, offset + 2),
            ETHER_TYPE_IPV6 => ipv6(frame, offset + 2),
            _ => None,
        }
    }
}

/// RFC 791 section 3.1.
const IPV4_HEADER_LEN_MIN: usize = 20;
/// The MF flag and the fragment offset.
const IPV4_FRAGMENT_MASK: u16 = 0x3fff;
const IPV4_FRAGMENT_OFFSET: u16 = 0x1fff;

fn ipv4(frame: &[u8], start: usize) -> Option<Flow> {
    let header: [u8; IPV4_HEADER_LEN_MIN] = frame.array(start)?;
    let header_len = usize::from(header[0] & 0x0f) * 4;
    if header[0] >> 4 != 4 || header_len < IPV4_HEADER_LEN_MIN || frame.len() < start + header_len {
        return None;
    }
    let be32 = |at: usize| {
        u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    let fragment = u16::from_be_bytes([header[6], header[7]]) & IPV4_FRAGMENT_MASK;
    let is_first = fragment & IPV4_FRAGMENT_OFFSET == 0;
    let protocol = header[9];
    Some(Flow {
        addresses: Addresses::V4 { source: be32(12), destination: be32(16) },
        protocol,
        ports: if is_first { ports(frame, protocol, start + header_len) } else { None },
        is_fragment: fragment != 0,
    })
}

/// RFC 8200 section 3.
const IPV6_HEADER_LEN: usize = 40;

fn ipv6(frame: &[u8], start: usize) -> Option<Flow> {
    let header: [u8; 8] = frame.array(start)?;
    let source = u128::from_be_bytes(frame.array(start + 8)?);
    let destination = u128::from_be_bytes(frame.array(start + 24)?);
    if header[0] >> 4 != 6 {
        return None;
    }
    let chain = Chain::of(frame, header[6], start + IPV6_HEADER_LEN);
    Some(Flow {
        addresses: Addresses::V6 { source, destination },
        protocol: chain.protocol,
        ports: chain.transport.and_then(|offset| ports(frame, chain.protocol, offset)),
        is_fragment: chain.is_fragment,
    })
}

/// What the extension headers of an IPv6 packet lead to.
struct Chain {
    /// The last next header value that is here.
    protocol: u8,
    /// Where its header starts; `None` if it is in another fragment or the frame is cut before.
    transport: Option<usize>,
    is_fragment: bool,
}

impl Chain {
    fn of(frame: &[u8], first: u8, start: usize) -> Self {
        let mut chain = Self { protocol: first, transport: Some(start), is_fragment: false };
        for _ in 0..EXTENSION_HEADERS_MAX {
            let is_extension = matches!(
                chain.protocol,
                HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION_OPTIONS
            );
            let Some(offset) = chain.transport.filter(|_| is_extension) else { break };
            chain.transport = chain.step(frame, offset);
        }
        chain
    }

    /// Passes the extension header at `offset`; returns where the next one starts.
    fn step(&mut self, frame: &[u8], offset: usize) -> Option<usize> {
        let header: [u8; 8] = frame.array(offset)?;
        let units = usize::from(header[1]);
        let next = offset
            + match self.protocol {
                FRAGMENT => 8,
                // RFC 4302 section 2.2: "in 32-bit words (4-byte units), minus '2'".
                AUTHENTICATION => (units + 2) * 4,
                // RFC 8200 sections 4.3, 4.4, 4.6: "in 8-octet units, not including the first 8
                // octets".
                _ => (units + 1) * 8,
            };
        if frame.len() < next {
            return None;
        }
        let kind = std::mem::replace(&mut self.protocol, header[0]);
        if kind != FRAGMENT {
            return Some(next);
        }
        // RFC 8200 section 4.5: 13 bits of offset, 2 reserved bits, the M flag.
        let offset_and_more = u16::from_be_bytes([header[2], header[3]]);
        self.is_fragment |= offset_and_more & 0xfff9 != 0;
        (offset_and_more & 0xfff8 == 0).then_some(next)
    }
}

/// The first four bytes of TCP, UDP and SCTP headers are the ports.
fn ports(frame: &[u8], protocol: u8, offset: usize) -> Option<Ports> {
    if !matches!(protocol, TCP | UDP | SCTP) {
        return None;
    }
    let [s0, s1, d0, d1] = frame.array(offset)?;
    Some(Ports { source: u16::from_be_bytes([s0, s1]), destination: u16::from_be_bytes([d0, d1]) })
}

fn u16_at(frame: &[u8], offset: usize) -> Option<u16> {
    frame.array(offset).map(u16::from_be_bytes)
}

#[cfg(test)]
mod tests;
