//! Reads the headers of a fragment.

use std::net::IpAddr;

use vxtap_ebpf::wire::{ip_version, ipv4, ipv6};

/// The fields that fragments of one packet have in common: RFC 791 section 3.2, RFC 8200 section
/// 4.5. The protocol tells IPv4 packets apart; of IPv6 ones it is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct PacketKey {
    pub(super) source: IpAddr,
    destination: IpAddr,
    identification: u32,
    protocol: u8,
}

/// A fragment, as its headers describe it.
#[derive(Debug)]
pub(super) struct Fragment<'p> {
    pub(super) key: PacketKey,
    /// Place of its data in the packet's, in bytes.
    pub(super) offset: usize,
    /// Other fragments follow behind this one.
    pub(super) has_more: bool,
    pub(super) data: &'p [u8],
    /// Headers in front of the data, without the fragment header of IPv6.
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

/// Most bytes of headers in front of a fragment header; the table holds them for each packet.
const HEADERS_LEN_MAX: usize = 256;
/// Lengths of fragments with others behind them are multiples of it.
const UNIT: usize = 8;

impl<'p> Fragment<'p> {
    /// Reads the fragment in an IP packet; `None` if it is none, or not as the RFCs want it.
    pub(super) fn in_packet(packet: &'p [u8]) -> Option<Self> {
        let fragment = match ip_version(packet, 0)? {
            4 => Self::in_ipv4(packet),
            6 => Self::in_ipv6(packet),
            _ => None,
        }?;
        let is_in_units = !fragment.has_more || fragment.data.len().is_multiple_of(UNIT);
        // A fragment without data makes nothing whole.
        (is_in_units && !fragment.data.is_empty()).then_some(fragment)
    }

    fn in_ipv4(packet: &'p [u8]) -> Option<Self> {
        let header = ipv4::Header::read(packet, 0)?;
        Some(Self {
            key: PacketKey {
                source: header.source().into(),
                destination: header.destination().into(),
                identification: u16::from_be_bytes(header.identification()).into(),
                protocol: header.protocol(),
            },
            offset: header.fragment_offset(),
            has_more: header.has_more_fragments(),
            // All of it has to be here: a fragment that was cut cannot be put together.
            data: packet.get(header.header_len()..header.total_len())?,
            headers: Headers::V4(packet.get(..header.header_len())?),
        })
    }

    fn in_ipv6(packet: &'p [u8]) -> Option<Self> {
        let header = ipv6::Header::read(packet, 0)?;
        let ipv6::Chain { named_at, offset: start, .. } = fragment_header(header.chain(0), packet)?;
        let fragment = ipv6::FragmentHeader::read(packet, start)?;
        Some(Self {
            key: PacketKey {
                source: header.source().into(),
                destination: header.destination().into(),
                identification: u32::from_be_bytes(fragment.identification()),
                protocol: 0,
            },
            offset: fragment.fragment_offset(),
            has_more: fragment.has_more_fragments(),
            data: packet.get(start + ipv6::FragmentHeader::LEN..header.total_len())?,
            headers: Headers::V6 {
                bytes: &packet[..start],
                next_header_at: named_at,
                next_header: fragment.next_header(),
            },
        })
    }
}

/// Returns the place of the fragment header in a chain of extension headers.
fn fragment_header(mut chain: ipv6::Chain, packet: &[u8]) -> Option<ipv6::Chain> {
    while chain.offset <= HEADERS_LEN_MAX && chain.may_precede_fragment() {
        chain = chain.step(packet)?;
    }
    (chain.offset <= HEADERS_LEN_MAX && chain.is_at_fragment()).then_some(chain)
}
