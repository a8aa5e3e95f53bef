//! The head of almost all frames, read with a single check of the length: untagged Ethernet, a
//! whole IPv4 packet without options. The fast paths compare its fixed fields in a few instructions
//! and leave every other frame to the full walk.

/// Start of the IPv4 header.
pub const IP_OFFSET: usize = super::ethernet::HEADER_LEN;
/// Start of the transport header.
pub const TRANSPORT_OFFSET: usize = IP_OFFSET + super::ipv4::HEADER_LEN_MIN;

/// Bits of four bytes of a frame that must have one value.
#[derive(Clone, Copy, Debug)]
pub struct Pattern {
    at: usize,
    mask: u32,
    value: u32,
}

impl Pattern {
    /// `EtherType` of IPv4, version 4, a header of 20 bytes.
    pub const IPV4_WITHOUT_OPTIONS: Self = Self::new(12, 0xffff_ff00, 0x0800_4500);
    /// Neither the MF flag nor a fragment offset.
    pub const WHOLE: Self = Self::new(20, 0x3fff_0000, 0);
    /// As [`Self::WHOLE`], and the protocol is UDP.
    pub const WHOLE_UDP: Self = Self::new(20, 0x3fff_00ff, super::transport::UDP as u32);

    /// Returns the pattern for the four bytes at `at`: `mask` and `value` are in network byte
    /// order, as a header's diagram has them.
    #[inline]
    pub const fn new(at: usize, mask: u32, value: u32) -> Self {
        Self { at, mask, value }
    }

    /// Returns whether the head of a frame has the value.
    #[inline]
    pub const fn is_in<const N: usize>(self, head: &[u8; N]) -> bool {
        self.difference(head) == 0
    }

    /// Returns 0 if the head of a frame has the value. Bytes are compared as they lie in memory;
    /// the results of several patterns may be joined with `|` for a single branch.
    #[inline]
    pub const fn difference<const N: usize>(self, head: &[u8; N]) -> u32 {
        let Self { at, mask, value } = self;
        // As an array, so that the compiler reads it in one piece whatever the mask leaves out.
        match head.split_at(at).1.first_chunk() {
            Some(&bytes) => u32::from_ne_bytes(bytes) & mask.to_be() ^ value.to_be(),
            None => u32::MAX,
        }
    }
}

/// Returns the big-endian 16 bits at `at`.
#[inline]
pub const fn be16<const N: usize>(head: &[u8; N], at: usize) -> u16 {
    u16::from_be_bytes([head[at], head[at + 1]])
}

/// Returns the big-endian 32 bits at `at`.
#[inline]
pub const fn be32<const N: usize>(head: &[u8; N], at: usize) -> u32 {
    u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]])
}
