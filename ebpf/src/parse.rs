//! Finds the UDP header of an Ethernet frame.
//!
//! Answers one question: is this a whole UDP datagram, and to which port? It does not look at
//! checksums, at the payload, or at the list of allowed sources.

use crate::wire::plain::{self, Pattern};
use crate::wire::transport::{UDP, UDP_HEADER_LEN, UdpHeader};
use crate::wire::{Bytes, ethernet, ip_version, ipv4, ipv6};

/// Address of the outer IP header, network byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// IPv4.
    V4([u8; 4]),
    /// IPv6.
    V6([u8; 16]),
}

/// Source address of the outer IP header.
pub type Source = Address;

/// Offsets and header fields of an outer UDP datagram. Offsets are in bytes from the first byte of
/// the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Source address.
    pub source: Source,
    /// Destination address.
    pub destination: Address,
    /// Start of the outer IP header.
    pub ip_offset: usize,
    /// Start of the UDP header.
    pub udp_offset: usize,
    /// UDP destination port, host byte order.
    pub destination_port: u16,
    /// UDP length field: header and payload in bytes, at least 8.
    pub udp_len: u16,
}

/// Reason why a frame is not a whole UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not IPv4 or IPv6, or not UDP.
    NotUdp,
    /// A fragment of a UDP datagram (of an IPv6 one: of anything that is not known to be something
    /// else).
    Fragment,
    /// A header ends early or contradicts itself.
    Malformed,
    /// More than [`ipv6::EXTENSION_HEADERS_MAX`] IPv6 extension headers.
    TooManyExtensions,
}

/// Walks Ethernet, up to two VLAN tags, IPv4 with options or IPv6 with extension headers, to the
/// UDP header.
///
/// The first header that names the protocol decides if a frame is UDP, even if the frame ends
/// behind it; everything that is UDP has to have all its headers up to and including the UDP
/// header. The lengths in the IP and UDP headers have to agree with each other, not with the length
/// of the frame: a capture may have cut the frame.
///
/// # Errors
///
/// [`Refusal`] has the reason why there is no UDP header.
#[inline]
pub fn udp_datagram<B: Bytes + ?Sized>(frame: &B) -> Result<Datagram, Refusal> {
    match plain_datagram(frame) {
        Some(datagram) => Ok(datagram),
        None => any_datagram(frame),
    }
}

/// Ethernet, IPv4 without options and UDP header.
const PLAIN_LEN: usize = plain::TRANSPORT_OFFSET + UDP_HEADER_LEN;

/// [`udp_datagram`] for almost all of them: untagged, whole, IPv4 without options; with a single
/// check of the length. Returns `None` for everything else, and otherwise the result of
/// [`any_datagram`].
#[inline]
pub fn plain_datagram<B: Bytes + ?Sized>(frame: &B) -> Option<Datagram> {
    let head: [u8; PLAIN_LEN] = frame.array(0)?;
    let be16 = |at| plain::be16(&head, at);
    let is_whole_udp =
        Pattern::IPV4_WITHOUT_OPTIONS.is_in(&head) && Pattern::WHOLE_UDP.is_in(&head);
    let (ip_len, udp_len) = (usize::from(be16(16)), usize::from(be16(38)));
    if !is_whole_udp || udp_len < UDP_HEADER_LEN || udp_len + ipv4::HEADER_LEN_MIN > ip_len {
        return None;
    }
    Some(Datagram {
        source: Address::V4([head[26], head[27], head[28], head[29]]),
        destination: Address::V4([head[30], head[31], head[32], head[33]]),
        ip_offset: plain::IP_OFFSET,
        udp_offset: plain::TRANSPORT_OFFSET,
        destination_port: be16(36),
        udp_len: be16(38),
    })
}

/// [`udp_datagram`] for everything.
///
/// # Errors
///
/// As for [`udp_datagram`].
#[inline]
pub fn any_datagram<B: Bytes + ?Sized>(frame: &B) -> Result<Datagram, Refusal> {
    let payload = ethernet::payload(frame).ok_or(Refusal::Malformed)?;
    match payload.ether_type {
        ethernet::IPV4 => in_ipv4(frame, payload.offset),
        ethernet::IPV6 => in_ipv6(frame, payload.offset),
        _ => Err(Refusal::NotUdp),
    }
}

/// As [`udp_datagram`], for an IP packet at `ip_offset` instead of an Ethernet frame.
///
/// # Errors
///
/// As for [`udp_datagram`].
pub fn udp_in_packet<B: Bytes + ?Sized>(bytes: &B, ip_offset: usize) -> Result<Datagram, Refusal> {
    match ip_version(bytes, ip_offset).ok_or(Refusal::Malformed)? {
        4 => in_ipv4(bytes, ip_offset),
        6 => in_ipv6(bytes, ip_offset),
        _ => Err(Refusal::NotUdp),
    }
}

#[inline]
fn in_ipv4<B: Bytes + ?Sized>(frame: &B, ip_offset: usize) -> Result<Datagram, Refusal> {
    let header = ipv4::Header::read(frame, ip_offset).ok_or(Refusal::Malformed)?;
    if header.protocol() != UDP {
        return Err(Refusal::NotUdp);
    }
    if header.is_fragment() {
        return Err(Refusal::Fragment);
    }
    let ip = Ip {
        source: Address::V4(header.source()),
        destination: Address::V4(header.destination()),
        start: ip_offset,
        end: ip_offset + header.total_len(),
    };
    udp(frame, ip, ip_offset + header.header_len())
}

#[inline]
fn in_ipv6<B: Bytes + ?Sized>(frame: &B, ip_offset: usize) -> Result<Datagram, Refusal> {
    let header = ipv6::Header::read(frame, ip_offset).ok_or(Refusal::Malformed)?;
    let udp_offset = past_extension_headers(frame, header.chain(ip_offset))?;
    let ip = Ip {
        source: Address::V6(header.source()),
        destination: Address::V6(header.destination()),
        start: ip_offset,
        end: ip_offset + header.total_len(),
    };
    udp(frame, ip, udp_offset)
}

/// Returns the offset of the UDP header.
#[inline]
fn past_extension_headers<B: Bytes + ?Sized>(
    frame: &B,
    mut chain: ipv6::Chain,
) -> Result<usize, Refusal> {
    for _ in 0..ipv6::EXTENSION_HEADERS_MAX {
        if chain.next_header == UDP {
            return Ok(chain.offset);
        }
        if !chain.is_at_extension() {
            return Err(Refusal::NotUdp);
        }
        if chain.is_at_fragment() {
            refuse_fragment(frame, chain.offset)?;
        }
        chain = chain.step(frame).ok_or(Refusal::Malformed)?;
    }
    match chain.next_header {
        UDP => Ok(chain.offset),
        _ if chain.is_at_extension() => Err(Refusal::TooManyExtensions),
        _ => Err(Refusal::NotUdp),
    }
}

/// Refuses a packet whose fragment header, at `offset`, does not hold the whole of it.
#[inline]
fn refuse_fragment<B: Bytes + ?Sized>(frame: &B, offset: usize) -> Result<(), Refusal> {
    let header = ipv6::FragmentHeader::read(frame, offset).ok_or(Refusal::Malformed)?;
    match header.next_header() {
        _ if !header.is_fragment() => Ok(()),
        // The rest of the chain is in the first fragment alone, and not always there.
        UDP => Err(Refusal::Fragment),
        next_header if ipv6::is_extension(next_header) => Err(Refusal::Fragment),
        _ => Err(Refusal::NotUdp),
    }
}

/// The fields of an IP header that a datagram needs.
#[derive(Clone, Copy)]
struct Ip {
    source: Source,
    destination: Address,
    start: usize,
    /// Offset of the first byte behind the IP packet, as its header has it.
    end: usize,
}

#[inline]
fn udp<B: Bytes + ?Sized>(frame: &B, ip: Ip, udp_offset: usize) -> Result<Datagram, Refusal> {
    let Ip { source, destination, start: ip_offset, end } = ip;
    let header = UdpHeader::read(frame, udp_offset).ok_or(Refusal::Malformed)?;
    let udp_len = header.datagram_len();
    // A datagram that ends behind its packet would take link-layer padding for payload.
    if usize::from(udp_len) < UDP_HEADER_LEN || udp_offset + usize::from(udp_len) > end {
        return Err(Refusal::Malformed);
    }
    let destination_port = header.destination_port();
    Ok(Datagram { source, destination, ip_offset, udp_offset, destination_port, udp_len })
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use etherparse::PacketBuilder;
    use proptest::prelude::*;

    use super::*;

    fn mirrored() -> Vec<u8> {
        let mut frame = Vec::new();
        let builder =
            PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([10, 0, 0, 7], [10, 0, 0, 9], 255);
        builder.udp(65408, 4789).write(&mut frame, &[8; 30]).expect("a buffer takes it");
        frame
    }

    #[test]
    fn what_a_mirror_sends_takes_the_short_way() {
        assert!(plain_datagram(&mirrored()[..]).is_some());
    }

    proptest! {
        #[test]
        fn the_short_way_says_nothing_else_than_the_long_one(
            changes in prop::collection::vec((12_usize..42, any::<u8>()), 0..4), len in 30_usize..80,
        ) {
            let mut frame = mirrored();
            for (place, byte) in changes {
                frame[place] = byte;
            }
            frame.truncate(len);
            if let Some(datagram) = plain_datagram(&frame[..]) {
                prop_assert_eq!(Ok(datagram), any_datagram(&frame[..]));
            }
        }
    }
}
