//! Assigns a frame to its flow: the inner 5-tuple, and a hash that both directions share.
//!
//! Reads headers only, and no length or checksum in them: the mirror may have cut the frame, and a
//! NIC with segmentation offload leaves them unset. VLAN tags are skipped, as they may differ by
//! direction. The session is not part of the flow: it is outside of the tunnel.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use vxtap_ebpf::wire::plain::{self, Pattern};
pub(crate) use vxtap_ebpf::wire::transport::Ports;
use vxtap_ebpf::wire::transport::{SCTP, TCP, UDP};
use vxtap_ebpf::wire::{ethernet, ip_version, ipv4, ipv6};

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

/// The 5-tuple of a frame, from its own headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flow {
    pub(crate) addresses: Addresses,
    /// IANA's number of the protocol behind the IP header and its extension headers. In a fragment
    /// but the first, and behind more than [`ipv6::EXTENSION_HEADERS_MAX`] extension headers, it
    /// may be the number of an extension header.
    pub(crate) protocol: u8,
    /// Ports of TCP, UDP and SCTP; `None` in all fragments but the first, and if the frame is cut
    /// before.
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

/// Ethernet, IPv4 without options, ports.
const PLAIN_LEN: usize = plain::TRANSPORT_OFFSET + 4;

impl Flow {
    /// Walks an Ethernet frame: up to two VLAN tags, IPv4 with options or IPv6 with extension
    /// headers, ports. `None` if there is no whole IP header; extension headers may be missing.
    #[inline]
    pub(crate) fn of(frame: &[u8]) -> Option<Self> {
        Self::of_plain(frame).or_else(|| Self::of_any(frame))
    }

    /// As [`Self::of`], for a frame that may have no Ethernet header.
    #[inline]
    pub(crate) fn in_frame(frame: &[u8], link: Link) -> Option<Self> {
        match link {
            Link::Ethernet => Self::of(frame),
            Link::Ip => Self::of_packet(frame),
        }
    }

    /// As [`Self::of`], for an IP packet.
    fn of_packet(packet: &[u8]) -> Option<Self> {
        match ip_version(packet, 0)? {
            4 => in_ipv4(packet, 0),
            6 => in_ipv6(packet, 0),
            _ => None,
        }
    }

    /// [`Self::of`] for almost all frames, with a single check of the length: untagged, whole IPv4
    /// packets without options, TCP or UDP. Returns `None` for everything else, and otherwise the
    /// result of [`Self::of_any`].
    #[inline]
    fn of_plain(frame: &[u8]) -> Option<Self> {
        let head: &[u8; PLAIN_LEN] = frame.first_chunk()?;
        let is_plain = Pattern::IPV4_WITHOUT_OPTIONS.is_in(head) && Pattern::WHOLE.is_in(head);
        let protocol = head[23];
        if !is_plain || !matches!(protocol, TCP | UDP) {
            return None;
        }
        let (be16, be32) = (|at| plain::be16(head, at), |at| plain::be32(head, at));
        Some(Self {
            addresses: Addresses::V4 { source: be32(26), destination: be32(30) },
            protocol,
            ports: Some(Ports { source: be16(34), destination: be16(36) }),
            is_fragment: false,
        })
    }

    /// [`Self::of`] for everything.
    fn of_any(frame: &[u8]) -> Option<Self> {
        let payload = ethernet::payload(frame)?;
        match payload.ether_type {
            ethernet::IPV4 => in_ipv4(frame, payload.offset),
            ethernet::IPV6 => in_ipv6(frame, payload.offset),
            _ => None,
        }
    }
}

fn in_ipv4(frame: &[u8], start: usize) -> Option<Flow> {
    let header = ipv4::Header::read(frame, start)?;
    let transport = start + header.header_len();
    if frame.len() < transport {
        return None;
    }
    let protocol = header.protocol();
    let is_first = header.fragment_offset() == 0;
    Some(Flow {
        addresses: Addresses::V4 {
            source: u32::from_be_bytes(header.source()),
            destination: u32::from_be_bytes(header.destination()),
        },
        protocol,
        ports: if is_first { ports(frame, protocol, transport) } else { None },
        is_fragment: header.is_fragment(),
    })
}

fn in_ipv6(frame: &[u8], start: usize) -> Option<Flow> {
    let header = ipv6::Header::read(frame, start)?;
    let upper = UpperLayer::behind(header.chain(start), frame);
    Some(Flow {
        addresses: Addresses::V6 {
            source: u128::from_be_bytes(header.source()),
            destination: u128::from_be_bytes(header.destination()),
        },
        protocol: upper.protocol,
        ports: upper.offset.and_then(|offset| ports(frame, upper.protocol, offset)),
        is_fragment: upper.is_fragment,
    })
}

/// The upper-layer header behind the extension headers of an IPv6 packet.
struct UpperLayer {
    /// The last next header value that is present.
    protocol: u8,
    /// Start of its header; `None` if it is in another fragment or the frame is cut before.
    offset: Option<usize>,
    is_fragment: bool,
}

impl UpperLayer {
    /// Walks extension headers that are whole, up to the fragment header of a later fragment.
    fn behind(mut chain: ipv6::Chain, frame: &[u8]) -> Self {
        let mut is_fragment = false;
        for _ in 0..ipv6::EXTENSION_HEADERS_MAX {
            if !chain.is_at_extension() {
                break;
            }
            let next = chain.step(frame).filter(|next| next.offset <= frame.len());
            let Some(next) = next else {
                return Self { protocol: chain.next_header, offset: None, is_fragment };
            };
            if chain.is_at_fragment()
                && let Some(header) = ipv6::FragmentHeader::read(frame, chain.offset)
            {
                is_fragment |= header.is_fragment();
                if header.fragment_offset() > 0 {
                    return Self { protocol: next.next_header, offset: None, is_fragment };
                }
            }
            chain = next;
        }
        Self { protocol: chain.next_header, offset: Some(chain.offset), is_fragment }
    }
}

/// Returns the ports of TCP, UDP and SCTP headers.
fn ports(frame: &[u8], protocol: u8, offset: usize) -> Option<Ports> {
    if matches!(protocol, TCP | UDP | SCTP) { Ports::read(frame, offset) } else { None }
}

#[cfg(test)]
mod tests;
