//! What the headers of a fragment say.

use std::net::IpAddr;
use std::ops::Range;

/// What fragments of one packet have in common: RFC 791 section 3.2, RFC 8200 section 4.5. The
/// protocol tells IPv4 packets apart; of IPv6 ones it is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) source: IpAddr,
    destination: IpAddr,
    identification: u32,
    protocol: u8,
}

/// A fragment, as its headers describe it.
#[derive(Debug)]
pub(super) struct Fragment<'p> {
    pub(super) key: Key,
    /// Where its data belong in the packet's, in bytes.
    pub(super) offset: usize,
    /// Whether others follow behind it.
    pub(super) has_more: bool,
    pub(super) data: &'p [u8],
    /// What is in front of the data, but for the fragment header of IPv6.
    pub(super) headers: Headers<'p>,
}

/// The headers of the first fragment, which become those of the whole packet.
#[derive(Clone, Copy, Debug)]
pub(super) enum Headers<'p> {
    V4(&'p [u8]),
    /// `next_header_at` is the place of the value that says "fragment header", to be replaced by
    /// `next_header`.
    V6 {
        bytes: &'p [u8],
        next_header_at: usize,
        next_header: u8,
    },
}

/// RFC 791 section 3.1.
const IPV4_LEN_MIN: usize = 20;
/// RFC 8200 section 3.
const IPV6_LEN: usize = 40;
const FRAGMENT_HEADER_LEN: usize = 8;
/// Most bytes of headers in front of a fragment header; the table holds them for each packet.
const HEADERS_LEN_MAX: usize = 256;
/// Lengths of fragments with others behind them are multiples of it.
const UNIT: usize = 8;

impl<'p> Fragment<'p> {
    /// Reads the fragment in an IP packet; `None` if it is none, or not as the RFCs want it.
    pub(super) fn in_packet(packet: &'p [u8]) -> Option<Self> {
        let fragment = match packet.first()? >> 4 {
            4 => Self::in_ipv4(packet),
            6 => Self::in_ipv6(packet),
            _ => None,
        }?;
        let is_in_units = !fragment.has_more || fragment.data.len().is_multiple_of(UNIT);
        // A fragment without data makes nothing whole.
        (is_in_units && !fragment.data.is_empty()).then_some(fragment)
    }

    fn in_ipv4(packet: &'p [u8]) -> Option<Self> {
        let header: &[u8; IPV4_LEN_MIN] = packet.first_chunk()?;
        let header_len = usize::from(header[0] & 0x0f) * 4;
        if header_len < IPV4_LEN_MIN {
            return None;
        }
        let end = usize::from(be16(header, 2));
        let flags_and_offset = be16(header, 6);
        let address =
            |at: usize| IpAddr::from([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        Some(Self {
            key: Key {
                source: address(12),
                destination: address(16),
                identification: be16(header, 4).into(),
                protocol: header[9],
            },
            offset: usize::from(flags_and_offset & 0x1fff) * UNIT,
            has_more: flags_and_offset & 0x2000 != 0,
            data: data(packet, header_len..end)?,
            headers: Headers::V4(packet.get(..header_len)?),
        })
    }

    fn in_ipv6(packet: &'p [u8]) -> Option<Self> {
        let header: &[u8; IPV6_LEN] = packet.first_chunk()?;
        let end = IPV6_LEN + usize::from(be16(header, 4));
        let (next_header_at, start) = fragment_header(packet)?;
        let fragment: &[u8; FRAGMENT_HEADER_LEN] = packet.get(start..)?.first_chunk()?;
        let offset_and_more = be16(fragment, 2);
        let (source, destination) = header[8..].split_first_chunk::<16>()?;
        let identification = u32::from_be_bytes(*fragment.last_chunk()?);
        Some(Self {
            key: Key {
                source: (*source).into(),
                destination: (*destination.first_chunk::<16>()?).into(),
                identification,
                protocol: 0,
            },
            offset: usize::from(offset_and_more & 0xfff8),
            has_more: offset_and_more & 1 != 0,
            data: data(packet, start + FRAGMENT_HEADER_LEN..end)?,
            headers: Headers::V6 {
                bytes: &packet[..start],
                next_header_at,
                next_header: fragment[0],
            },
        })
    }
}

/// The bytes of the packet, all of which have to be here: what was cut cannot be put together.
fn data(packet: &[u8], range: Range<usize>) -> Option<&[u8]> {
    packet.get(range)
}

/// Where the value that announces the fragment header is, and where that header is. In front of it
/// may be hop-by-hop options, routing headers and destination options (RFC 8200 section 4.5).
fn fragment_header(packet: &[u8]) -> Option<(usize, usize)> {
    const HOP_BY_HOP: u8 = 0;
    const ROUTING: u8 = 43;
    const FRAGMENT: u8 = 44;
    const OPTIONS: u8 = 60;
    let (mut named_at, mut start) = (6, IPV6_LEN);
    while start <= HEADERS_LEN_MAX {
        match *packet.get(named_at)? {
            FRAGMENT => return Some((named_at, start)),
            HOP_BY_HOP | ROUTING | OPTIONS => {
                named_at = start;
                start += (usize::from(*packet.get(start + 1)?) + 1) * 8;
            }
            _ => return None,
        }
    }
    None
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}
