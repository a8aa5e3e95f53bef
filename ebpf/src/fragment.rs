//! Reads the fragments of outer UDP datagrams.
//!
//! Only the first fragment of a datagram has its ports. The others are assigned to it by the fields
//! that all fragments of a packet have in common.

use crate::parse::{Address, Source};
use crate::wire::transport::{Ports, UDP};
use crate::wire::{Bytes, ethernet, ipv4, ipv6};

/// The fields that the fragments of one packet have in common (RFC 791 section 3.2, RFC 8200
/// section 4.5). Bytes as in the packet; IPv4 addresses are followed by zeros. Without padding, as
/// the kernel compares all bytes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct FragmentKey {
    /// Source address.
    pub source: [u8; 16],
    /// Destination address.
    pub destination: [u8; 16],
    /// Identification; of IPv4 in the last two bytes.
    pub identification: [u8; 4],
    /// IP version.
    pub version: u32,
}

const _: () = assert!(size_of::<FragmentKey>() == 40);

/// A fragment of a UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// The packet that it belongs to.
    pub key: FragmentKey,
    /// Source address.
    pub source: Source,
    /// Destination address.
    pub destination: Address,
    /// UDP destination port, host byte order, if this is the first fragment; `None` for the others.
    pub destination_port: Option<u16>,
}

/// Most IPv6 extension headers in front of the fragment header that are walked.
const EXTENSIONS_MAX: usize = 3;

/// Reads a frame that [`crate::parse::udp_datagram`] refuses as a fragment. `None` if its headers
/// end early, or if the datagram's UDP header does not follow the fragment header.
#[inline]
pub fn fragment<B: Bytes + ?Sized>(frame: &B) -> Option<Fragment> {
    let payload = ethernet::payload(frame)?;
    match payload.ether_type {
        ethernet::IPV4 => in_ipv4(frame, payload.offset),
        ethernet::IPV6 => in_ipv6(frame, payload.offset),
        _ => None,
    }
}

#[inline]
fn in_ipv4<B: Bytes + ?Sized>(frame: &B, ip_offset: usize) -> Option<Fragment> {
    let header = ipv4::Header::read(frame, ip_offset)?;
    let mut key =
        FragmentKey { source: [0; 16], destination: [0; 16], identification: [0; 4], version: 4 };
    key.source[..4].copy_from_slice(&header.source());
    key.destination[..4].copy_from_slice(&header.destination());
    key.identification[2..].copy_from_slice(&header.identification());
    let destination_port = if header.fragment_offset() == 0 {
        Some(Ports::read(frame, ip_offset + header.header_len())?.destination)
    } else {
        None
    };
    let (source, destination) = (Address::V4(header.source()), Address::V4(header.destination()));
    Some(Fragment { key, source, destination, destination_port })
}

#[inline]
fn in_ipv6<B: Bytes + ?Sized>(frame: &B, ip_offset: usize) -> Option<Fragment> {
    let header = ipv6::Header::read(frame, ip_offset)?;
    let mut chain = header.chain(ip_offset);
    for _ in 0..EXTENSIONS_MAX {
        if !chain.may_precede_fragment() {
            break;
        }
        chain = chain.step(frame)?;
    }
    if !chain.is_at_fragment() {
        return None;
    }
    let fragment = ipv6::FragmentHeader::read(frame, chain.offset)?;
    let destination_port = match (fragment.fragment_offset(), fragment.next_header()) {
        (0, UDP) => Some(Ports::read(frame, chain.offset + ipv6::FragmentHeader::LEN)?.destination),
        (0, _) => return None,
        _ => None,
    };
    let key = FragmentKey {
        source: header.source(),
        destination: header.destination(),
        identification: fragment.identification(),
        version: 6,
    };
    let (source, destination) = (Address::V6(header.source()), Address::V6(header.destination()));
    Some(Fragment { key, source, destination, destination_port })
}
