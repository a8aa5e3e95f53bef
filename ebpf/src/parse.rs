//! From the first byte of an Ethernet frame to its UDP header.
//!
//! Answers one question: is this a whole UDP datagram, and where to? It does not look at checksums,
//! at the payload, or at who may send.

/// Most IPv6 extension headers that are walked; the frame is refused beyond. Real traffic has none
/// or one; the limit keeps the walk short for the kernel's verifier and gives a sender of long
/// chains nothing to gain.
pub const EXTENSION_HEADERS_MAX: usize = 6;

/// Read access to the bytes of a frame: a slice on the host, two pointers with bounds checks in the
/// kernel.
pub trait Bytes {
    /// The `N` bytes at `offset`, or `None` if the frame ends before.
    fn array<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;
}

impl Bytes for [u8] {
    #[inline]
    fn array<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.get(offset..)?.first_chunk().copied()
    }
}

/// Source address of the outer IP header, network byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// IPv4.
    V4([u8; 4]),
    /// IPv6.
    V6([u8; 16]),
}

/// Where the parts of an outer UDP datagram are. Offsets are in bytes from the first byte of the
/// frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Who sent it.
    pub source: Source,
    /// Start of the outer IP header.
    pub ip_offset: usize,
    /// Start of the UDP header.
    pub udp_offset: usize,
    /// UDP destination port, host byte order.
    pub destination_port: u16,
    /// UDP length field: header and payload in bytes, at least 8.
    pub udp_len: u16,
}

/// Why a frame is not a whole UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not IPv4 or IPv6, or not UDP.
    NotUdp,
    /// A fragment of a UDP datagram (of an IPv6 one: of anything that is not known to be something
    /// else).
    Fragment,
    /// A header ends early or contradicts itself.
    Malformed,
    /// More than [`EXTENSION_HEADERS_MAX`] IPv6 extension headers.
    TooManyExtensions,
}

/// Walks Ethernet, up to two VLAN tags, IPv4 with options or IPv6 with extension headers, to the
/// UDP header.
///
/// Whether a frame is UDP is decided by the first header that says so, even if the frame ends
/// behind it; everything that is UDP has to have all its headers up to and including the UDP
/// header. The lengths in the IP and UDP headers have to agree with each other, not with the length
/// of the frame: a frame may be cut by whoever captured it.
///
/// # Errors
///
/// [`Refusal`] says why there is no UDP header to be had.
#[inline]
pub fn udp_datagram<B: Bytes + ?Sized>(frame: &B) -> Result<Datagram, Refusal> {
    match plain_datagram(frame) {
        Some(datagram) => Ok(datagram),
        None => any_datagram(frame),
    }
}

/// Ethernet, IPv4 without options and UDP header.
const PLAIN_LEN: usize = 14 + 20 + 8;

/// [`udp_datagram`] for what almost all of them are: untagged, whole, IPv4 without options; with a
/// single check of the length. `None` for everything else; never says anything else than
/// [`any_datagram`].
#[inline]
fn plain_datagram<B: Bytes + ?Sized>(frame: &B) -> Option<Datagram> {
    let head: [u8; PLAIN_LEN] = frame.array(0)?;
    let be16 = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    let be32 = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    // EtherType, version and header length; then flags, fragment offset, TTL and protocol.
    let is_whole_udp =
        be32(12) & 0xffff_ff00 == 0x0800_4500 && be32(20) & 0x3fff_00ff == 0x0000_0011;
    let (ip_len, udp_len) = (usize::from(be16(16)), usize::from(be16(38)));
    if !is_whole_udp || udp_len < UDP_HEADER_LEN || udp_len + 20 > ip_len {
        return None;
    }
    Some(Datagram {
        source: Source::V4([head[26], head[27], head[28], head[29]]),
        ip_offset: 14,
        udp_offset: 34,
        destination_port: be16(36),
        udp_len: be16(38),
    })
}

/// [`udp_datagram`] for everything.
#[inline]
fn any_datagram<B: Bytes + ?Sized>(frame: &B) -> Result<Datagram, Refusal> {
    let (ether_type, ip_offset) = past_vlan_tags(frame)?;
    match ether_type {
        ETHER_TYPE_IPV4 => ipv4(frame, ip_offset),
        ETHER_TYPE_IPV6 => ipv6(frame, ip_offset),
        _ => Err(Refusal::NotUdp),
    }
}

/// As [`udp_datagram`], for an IP packet at `ip_offset` instead of an Ethernet frame.
///
/// # Errors
///
/// As for [`udp_datagram`].
pub fn udp_in_packet<B: Bytes + ?Sized>(bytes: &B, ip_offset: usize) -> Result<Datagram, Refusal> {
    let [first] = header_at(bytes, ip_offset)?;
    match first >> 4 {
        4 => ipv4(bytes, ip_offset),
        6 => ipv6(bytes, ip_offset),
        _ => Err(Refusal::NotUdp),
    }
}

/// Two Ethernet addresses, before the `EtherType`.
const ETHERNET_ADDRESSES_LEN: usize = 12;
pub(crate) const ETHER_TYPE_IPV4: u16 = 0x0800;
pub(crate) const ETHER_TYPE_IPV6: u16 = 0x86dd;

/// IEEE 802.1Q, `IEEE 802.1ad` (the outer tag of two), and what equipment used for the outer tag
/// before 802.1ad.
const ETHER_TYPES_VLAN: [u16; 3] = [0x8100, 0x88a8, 0x9100];
const VLAN_TAG_LEN: usize = 4;
const VLAN_TAGS_MAX: usize = 2;

/// Returns the `EtherType` behind the VLAN tags and the offset behind it. A third tag is left where
/// it is.
#[inline]
pub(crate) fn past_vlan_tags<B: Bytes + ?Sized>(frame: &B) -> Result<(u16, usize), Refusal> {
    let mut offset = ETHERNET_ADDRESSES_LEN;
    let mut ether_type = u16_at(frame, offset)?;
    for _ in 0..VLAN_TAGS_MAX {
        if !ETHER_TYPES_VLAN.contains(&ether_type) {
            break;
        }
        offset += VLAN_TAG_LEN;
        ether_type = u16_at(frame, offset)?;
    }
    Ok((ether_type, offset + 2))
}

pub(crate) const PROTOCOL_UDP: u8 = 17;

/// RFC 791 section 3.1.
const IPV4_HEADER_LEN_MIN: usize = 20;
/// The MF flag and the fragment offset. DF, and the bit that RFC 791 reserves, make no fragment.
const IPV4_FRAGMENT_MASK: u16 = 0x3fff;

#[inline]
fn ipv4<B: Bytes + ?Sized>(frame: &B, ip_offset: usize) -> Result<Datagram, Refusal> {
    let header = header_at::<IPV4_HEADER_LEN_MIN, B>(frame, ip_offset)?;
    let header_len = usize::from(header[0] & 0x0f) * 4;
    if header[0] >> 4 != 4 || header_len < IPV4_HEADER_LEN_MIN {
        return Err(Refusal::Malformed);
    }
    if header[9] != PROTOCOL_UDP {
        return Err(Refusal::NotUdp);
    }
    if u16::from_be_bytes([header[6], header[7]]) & IPV4_FRAGMENT_MASK != 0 {
        return Err(Refusal::Fragment);
    }
    let end = ip_offset + usize::from(u16::from_be_bytes([header[2], header[3]]));
    let source = Source::V4([header[12], header[13], header[14], header[15]]);
    udp(frame, Ip { source, start: ip_offset, end }, ip_offset + header_len)
}

/// RFC 8200 section 3.
pub(crate) const IPV6_HEADER_LEN: usize = 40;

#[inline]
fn ipv6<B: Bytes + ?Sized>(frame: &B, ip_offset: usize) -> Result<Datagram, Refusal> {
    let [version, _, _, _, len_high, len_low, next_header, _] =
        header_at::<8, B>(frame, ip_offset)?;
    if version >> 4 != 6 {
        return Err(Refusal::Malformed);
    }
    let source = Source::V6(header_at(frame, ip_offset + 8)?);
    // The destination address is not looked at, but a frame that ends in it has no next header.
    header_at::<16, B>(frame, ip_offset + 24)?;
    let payload_offset = ip_offset + IPV6_HEADER_LEN;
    let end = payload_offset + usize::from(u16::from_be_bytes([len_high, len_low]));
    let udp_offset = past_extension_headers(frame, next_header, payload_offset)?;
    udp(frame, Ip { source, start: ip_offset, end }, udp_offset)
}

/// Next header values of the extension headers that are walked.
/// <https://www.iana.org/assignments/ipv6-parameters>
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;

/// Returns the offset of the UDP header.
#[inline]
fn past_extension_headers<B: Bytes + ?Sized>(
    frame: &B,
    mut next_header: u8,
    mut offset: usize,
) -> Result<usize, Refusal> {
    for _ in 0..EXTENSION_HEADERS_MAX {
        if next_header == PROTOCOL_UDP {
            return Ok(offset);
        }
        if !is_extension(next_header) {
            return Err(Refusal::NotUdp);
        }
        let [after, len] = header_at::<2, B>(frame, offset)?;
        offset += match next_header {
            FRAGMENT => whole_in_fragment_header(frame, offset)?,
            // RFC 4302 section 2.2: "in 32-bit words (4-byte units), minus '2'".
            AUTHENTICATION => (usize::from(len) + 2) * 4,
            // RFC 8200 sections 4.3, 4.4, 4.6: "in 8-octet units, not including the first 8
            // octets".
            _ => (usize::from(len) + 1) * 8,
        };
        next_header = after;
    }
    match next_header {
        PROTOCOL_UDP => Ok(offset),
        _ if is_extension(next_header) => Err(Refusal::TooManyExtensions),
        _ => Err(Refusal::NotUdp),
    }
}

#[inline]
const fn is_extension(next_header: u8) -> bool {
    matches!(next_header, HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION_OPTIONS)
}

/// Returns the length of the fragment header if the fragment is the whole packet (RFC 6946: an
/// "atomic" fragment).
#[inline]
fn whole_in_fragment_header<B: Bytes + ?Sized>(frame: &B, offset: usize) -> Result<usize, Refusal> {
    let header = header_at::<8, B>(frame, offset)?;
    // RFC 8200 section 4.5: 13 bits of offset, 2 reserved bits, the M flag.
    let offset_and_more = u16::from_be_bytes([header[2], header[3]]) & 0xfff9;
    match header[0] {
        _ if offset_and_more == 0 => Ok(header.len()),
        // What the rest of the chain leads to is in the first fragment alone, and not always there.
        PROTOCOL_UDP => Err(Refusal::Fragment),
        next_header if is_extension(next_header) => Err(Refusal::Fragment),
        _ => Err(Refusal::NotUdp),
    }
}

/// RFC 768.
const UDP_HEADER_LEN: usize = 8;

/// What the IP header says.
#[derive(Clone, Copy)]
struct Ip {
    source: Source,
    start: usize,
    /// Offset of the first byte behind the IP packet, as its header has it.
    end: usize,
}

#[inline]
fn udp<B: Bytes + ?Sized>(frame: &B, ip: Ip, udp_offset: usize) -> Result<Datagram, Refusal> {
    let Ip { source, start: ip_offset, end } = ip;
    let header = header_at::<UDP_HEADER_LEN, B>(frame, udp_offset)?;
    let udp_len = u16::from_be_bytes([header[4], header[5]]);
    // A datagram that ends behind its packet would take link-layer padding for payload.
    if usize::from(udp_len) < UDP_HEADER_LEN || udp_offset + usize::from(udp_len) > end {
        return Err(Refusal::Malformed);
    }
    let destination_port = u16::from_be_bytes([header[2], header[3]]);
    Ok(Datagram { source, ip_offset, udp_offset, destination_port, udp_len })
}

#[inline]
fn header_at<const N: usize, B: Bytes + ?Sized>(
    frame: &B,
    offset: usize,
) -> Result<[u8; N], Refusal> {
    frame.array(offset).ok_or(Refusal::Malformed)
}

#[inline]
fn u16_at<B: Bytes + ?Sized>(frame: &B, offset: usize) -> Result<u16, Refusal> {
    header_at(frame, offset).map(u16::from_be_bytes)
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
