//! What a fragment of an outer UDP datagram says about itself.
//!
//! Only the first fragment of a datagram has its ports. Which packet the others belong to is
//! remembered by what all of them have in common.

use crate::parse::{
    Bytes, ETHER_TYPE_IPV4, ETHER_TYPE_IPV6, IPV6_HEADER_LEN, PROTOCOL_UDP, Source, past_vlan_tags,
};

/// What the fragments of one packet have in common (RFC 791 section 3.2, RFC 8200 section 4.5).
/// Bytes as in the packet; IPv4 addresses are followed by zeros. Without padding, as the kernel
/// compares all bytes of a key.
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
    /// Which packet it belongs to.
    pub key: FragmentKey,
    /// Who sent it.
    pub source: Source,
    /// UDP destination port, host byte order, if this is the first fragment; `None` for the others.
    pub destination_port: Option<u16>,
}

/// Most IPv6 extension headers in front of the fragment header that are walked.
const EXTENSIONS_MAX: usize = 3;

/// Reads a frame that [`crate::parse::udp_datagram`] refuses as a fragment. `None` if its headers
/// end early, or if the datagram's UDP header does not follow the fragment header.
#[inline]
pub fn fragment<B: Bytes + ?Sized>(frame: &B) -> Option<Fragment> {
    let (ether_type, ip_offset) = past_vlan_tags(frame).ok()?;
    match ether_type {
        ETHER_TYPE_IPV4 => in_ipv4(frame, ip_offset),
        ETHER_TYPE_IPV6 => in_ipv6(frame, ip_offset),
        _ => None,
    }
}

/// Where the IP header of a frame starts, in bytes; `None` if it carries neither IPv4 nor IPv6.
pub fn ip_offset<B: Bytes + ?Sized>(frame: &B) -> Option<usize> {
    let (ether_type, ip_offset) = past_vlan_tags(frame).ok()?;
    matches!(ether_type, ETHER_TYPE_IPV4 | ETHER_TYPE_IPV6).then_some(ip_offset)
}

#[inline]
fn in_ipv4<B: Bytes + ?Sized>(frame: &B, ip_offset: usize) -> Option<Fragment> {
    let header: [u8; 20] = frame.array(ip_offset)?;
    let mut key =
        FragmentKey { source: [0; 16], destination: [0; 16], identification: [0; 4], version: 4 };
    let source = [header[12], header[13], header[14], header[15]];
    key.source[..4].copy_from_slice(&source);
    key.destination[..4].copy_from_slice(&[header[16], header[17], header[18], header[19]]);
    key.identification[2..].copy_from_slice(&[header[4], header[5]]);
    // Behind three flags.
    let is_first = u16::from_be_bytes([header[6], header[7]]) << 3 == 0;
    let udp_offset = ip_offset + usize::from(header[0] & 0x0f) * 4;
    let destination_port = if is_first { Some(destination_port(frame, udp_offset)?) } else { None };
    Some(Fragment { key, source: Source::V4(source), destination_port })
}

#[inline]
fn in_ipv6<B: Bytes + ?Sized>(frame: &B, ip_offset: usize) -> Option<Fragment> {
    let source: [u8; 16] = frame.array(ip_offset + 8)?;
    let destination: [u8; 16] = frame.array(ip_offset + 24)?;
    let [mut next_header] = frame.array(ip_offset + 6)?;
    let mut offset = ip_offset + IPV6_HEADER_LEN;
    for _ in 0..EXTENSIONS_MAX {
        // RFC 8200 section 4.1: hop-by-hop options, routing header, destination options.
        if !matches!(next_header, 0 | 43 | 60) {
            break;
        }
        let [after, len] = frame.array(offset)?;
        offset += (usize::from(len) + 1) * 8;
        next_header = after;
    }
    if next_header != 44 {
        return None;
    }
    let header: [u8; 8] = frame.array(offset)?;
    let identification = [header[4], header[5], header[6], header[7]];
    let key = FragmentKey { source, destination, identification, version: 6 };
    let is_first = u16::from_be_bytes([header[2], header[3]]) & 0xfff8 == 0;
    let destination_port = match (is_first, header[0]) {
        (true, PROTOCOL_UDP) => Some(destination_port(frame, offset + 8)?),
        (true, _) => return None,
        (false, _) => None,
    };
    Some(Fragment { key, source: Source::V6(source), destination_port })
}

#[inline]
fn destination_port<B: Bytes + ?Sized>(frame: &B, udp_offset: usize) -> Option<u16> {
    frame.array(udp_offset + 2).map(u16::from_be_bytes)
}
