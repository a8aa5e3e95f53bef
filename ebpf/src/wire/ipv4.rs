//! The IPv4 header, RFC 791 section 3.1.

use super::Bytes;

/// Length of a header without options.
pub const HEADER_LEN_MIN: usize = 20;
pub(super) const TOTAL_LEN_AT: usize = 2;

/// The MF flag and the fragment offset. DF, and the bit that RFC 791 reserves, make no fragment.
const FRAGMENT: u16 = 0x3fff;
const MORE_FRAGMENTS: u16 = 0x2000;
/// In units of 8 bytes.
const FRAGMENT_OFFSET: u16 = 0x1fff;

/// An IPv4 header, without its options.
#[derive(Clone, Copy, Debug)]
pub struct Header([u8; HEADER_LEN_MIN]);

impl Header {
    /// Reads the header at `offset`. `None` if it ends early, is of another version or states a
    /// length of less than 20 bytes. Options may be missing.
    #[inline]
    pub fn read<B: Bytes + ?Sized>(bytes: &B, offset: usize) -> Option<Self> {
        let header = Self(bytes.array(offset)?);
        (header.0[0] >> 4 == 4 && header.header_len() >= HEADER_LEN_MIN).then_some(header)
    }

    /// Returns the length of the header with its options, 20 to 60 bytes.
    #[inline]
    pub fn header_len(&self) -> usize {
        usize::from(self.0[0] & 0x0f) * 4
    }

    /// Returns the length of header and payload, as sent.
    #[inline]
    pub fn total_len(&self) -> usize {
        self.be16(TOTAL_LEN_AT).into()
    }

    /// Returns the identification, the same in all fragments of a packet.
    #[inline]
    pub const fn identification(&self) -> [u8; 2] {
        [self.0[4], self.0[5]]
    }

    /// Returns `true` for one part of a larger packet.
    #[inline]
    pub const fn is_fragment(&self) -> bool {
        self.be16(6) & FRAGMENT != 0
    }

    /// Returns `true` if other fragments follow behind this one.
    #[inline]
    pub const fn has_more_fragments(&self) -> bool {
        self.be16(6) & MORE_FRAGMENTS != 0
    }

    /// Returns the place of the payload in that of the whole packet: 0 for a first fragment and a
    /// whole packet, at most 65 528.
    #[inline]
    pub fn fragment_offset(&self) -> usize {
        usize::from(self.be16(6) & FRAGMENT_OFFSET) * 8
    }

    /// Returns IANA's number of the payload's protocol.
    #[inline]
    pub const fn protocol(&self) -> u8 {
        self.0[9]
    }

    /// Returns the source address.
    #[inline]
    pub const fn source(&self) -> [u8; 4] {
        [self.0[12], self.0[13], self.0[14], self.0[15]]
    }

    /// Returns the destination address.
    #[inline]
    pub const fn destination(&self) -> [u8; 4] {
        [self.0[16], self.0[17], self.0[18], self.0[19]]
    }

    #[inline]
    const fn be16(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.0[at], self.0[at + 1]])
    }
}
