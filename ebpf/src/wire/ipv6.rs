//! The IPv6 header, RFC 8200 section 3, and its extension headers, section 4.

use super::Bytes;

/// Length of a header without extension headers.
pub const HEADER_LEN: usize = 40;
pub(super) const PAYLOAD_LEN_AT: usize = 4;
const NEXT_HEADER_AT: usize = 6;

/// An IPv6 header, without extension headers.
#[derive(Clone, Copy, Debug)]
pub struct Header([u8; HEADER_LEN]);

impl Header {
    /// Reads the header at `offset`; `None` if it ends early or is of another version.
    #[inline]
    pub fn read<B: Bytes + ?Sized>(bytes: &B, offset: usize) -> Option<Self> {
        let header = Self(bytes.array(offset)?);
        (header.0[0] >> 4 == 6).then_some(header)
    }

    /// Returns the length of header and payload, as sent; 40 for a jumbogram, whose length is in an
    /// option.
    #[inline]
    pub fn total_len(&self) -> usize {
        let payload_len = [self.0[PAYLOAD_LEN_AT], self.0[PAYLOAD_LEN_AT + 1]];
        HEADER_LEN + usize::from(u16::from_be_bytes(payload_len))
    }

    /// Returns the source address.
    #[inline]
    pub fn source(&self) -> [u8; 16] {
        core::array::from_fn(|i| self.0[8 + i])
    }

    /// Returns the destination address.
    #[inline]
    pub fn destination(&self) -> [u8; 16] {
        core::array::from_fn(|i| self.0[24 + i])
    }

    /// Returns the start of the chain of extension headers; `offset` is that of this header.
    #[inline]
    pub const fn chain(&self, offset: usize) -> Chain {
        Chain {
            next_header: self.0[NEXT_HEADER_AT],
            named_at: offset + NEXT_HEADER_AT,
            offset: offset + HEADER_LEN,
        }
    }
}

// Next header values of the extension headers that are walked,
// https://www.iana.org/assignments/ipv6-parameters

/// Hop-by-hop options, RFC 8200 section 4.3.
pub const HOP_BY_HOP: u8 = 0;
/// Routing header, RFC 8200 section 4.4.
pub const ROUTING: u8 = 43;
/// Fragment header, RFC 8200 section 4.5.
pub const FRAGMENT: u8 = 44;
/// Authentication header, RFC 4302.
pub const AUTHENTICATION: u8 = 51;
/// Destination options, RFC 8200 section 4.6.
pub const DESTINATION_OPTIONS: u8 = 60;

/// Most extension headers that are walked; the frame is refused beyond. Real traffic has none or
/// one; the limit keeps the walk short for the kernel's verifier and gives a sender of long chains
/// nothing to gain.
pub const EXTENSION_HEADERS_MAX: usize = 6;

/// Returns whether a next header value stands for an extension header that [`Chain::step`] passes.
#[inline]
pub const fn is_extension(next_header: u8) -> bool {
    matches!(next_header, HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION_OPTIONS)
}

/// A place in a chain of extension headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Next header value that names the header at `offset`.
    pub next_header: u8,
    /// Place of that value.
    pub named_at: usize,
    /// Start of the header.
    pub offset: usize,
}

impl Chain {
    /// Returns whether the header here is one of the extension headers that are walked.
    #[inline]
    pub const fn is_at_extension(&self) -> bool {
        is_extension(self.next_header)
    }

    /// Returns whether the header here is a fragment header.
    #[inline]
    pub const fn is_at_fragment(&self) -> bool {
        self.next_header == FRAGMENT
    }

    /// Returns whether the header here is one that may precede a fragment header (RFC 8200 section
    /// 4.5): hop-by-hop options, routing header or destination options.
    #[inline]
    pub const fn may_precede_fragment(&self) -> bool {
        matches!(self.next_header, HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS)
    }

    /// Passes the extension header here, by the first two bytes of it; `None` if the frame ends
    /// before these.
    #[inline]
    pub fn step<B: Bytes + ?Sized>(self, bytes: &B) -> Option<Self> {
        let [next_header, len] = bytes.array(self.offset)?;
        let len = match self.next_header {
            FRAGMENT => FragmentHeader::LEN,
            // RFC 4302 section 2.2: "in 32-bit words (4-byte units), minus '2'".
            AUTHENTICATION => (usize::from(len) + 2) * 4,
            // RFC 8200 sections 4.3, 4.4, 4.6: "in 8-octet units, not including the first 8
            // octets".
            _ => (usize::from(len) + 1) * 8,
        };
        Some(Self { next_header, named_at: self.offset, offset: self.offset + len })
    }
}

/// A fragment header, RFC 8200 section 4.5.
#[derive(Clone, Copy, Debug)]
pub struct FragmentHeader([u8; Self::LEN]);

impl FragmentHeader {
    /// Length of the header.
    pub const LEN: usize = 8;

    /// 13 bits of offset in units of 8 bytes, 2 reserved bits, the M flag.
    const OFFSET: u16 = 0xfff8;
    const MORE: u16 = 1;

    /// Reads the header at `offset`; `None` if it ends early.
    #[inline]
    pub fn read<B: Bytes + ?Sized>(bytes: &B, offset: usize) -> Option<Self> {
        bytes.array(offset).map(Self)
    }

    /// Returns the value that names the header behind this one in the first fragment.
    #[inline]
    pub const fn next_header(&self) -> u8 {
        self.0[0]
    }

    /// Returns `true` unless the fragment is the whole packet (RFC 6946: an "atomic" fragment).
    #[inline]
    pub const fn is_fragment(&self) -> bool {
        self.offset_and_more() & (Self::OFFSET | Self::MORE) != 0
    }

    /// Returns `true` if other fragments follow behind this one.
    #[inline]
    pub const fn has_more_fragments(&self) -> bool {
        self.offset_and_more() & Self::MORE != 0
    }

    /// Returns the place of the data in those of the whole packet: 0 for a first fragment, at most
    /// 65 528.
    #[inline]
    pub fn fragment_offset(&self) -> usize {
        usize::from(self.offset_and_more() & Self::OFFSET)
    }

    /// Returns the identification, the same in all fragments of a packet.
    #[inline]
    pub const fn identification(&self) -> [u8; 4] {
        [self.0[4], self.0[5], self.0[6], self.0[7]]
    }

    #[inline]
    const fn offset_and_more(self) -> u16 {
        u16::from_be_bytes([self.0[2], self.0[3]])
    }
}
