//! The Internet checksum (RFC 1071).

use std::net::IpAddr;

/// A ones' complement sum in progress, in the machine's byte order.
///
/// RFC 1071 section 2(B): the sum of byte-swapped words is the byte-swapped sum, so swapping is
/// left to the end.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sum(u64);

impl Sum {
    /// Adds bytes; only the last slice added may have an odd length, which counts as padded with a
    /// zero.
    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<4>();
        // 2^32 words fit before the sum could overflow; a frame has a few thousand.
        self.0 += words.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum::<u64>();
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        self.0 += u64::from(u32::from_ne_bytes(last));
        self
    }

    /// Adds a 16-bit field.
    pub(crate) fn field(self, value: u16) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Adds an address as the pseudo-header has it (RFC 9293 section 3.1, RFC 8200 section 8.1).
    pub(crate) fn address(self, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => self.bytes(&v4.octets()),
            IpAddr::V6(v6) => self.bytes(&v6.octets()),
        }
    }

    /// Returns the checksum field's value.
    #[expect(clippy::cast_possible_truncation, reason = "folded to 16 bits before")]
    pub(crate) const fn finish(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xFFFF {
            sum = (sum & 0xFFFF) + (sum >> 16);
        }
        u16::from_be(!(sum as u16))
    }
}

/// Returns a UDP checksum for the wire: zero means "none", so a computed zero is sent as all ones
/// (RFC 768).
pub(crate) const fn udp(checksum: u16) -> u16 {
    if checksum == 0 { 0xFFFF } else { checksum }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_1071_sums_up_to_ddf2() {
        let sum = Sum::default().bytes(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum.finish(), !0xddf2);
    }

    #[test]
    fn a_computed_udp_checksum_is_never_sent_as_none() {
        assert_eq!((udp(0), udp(1), udp(0xFFFF)), (0xFFFF, 1, 0xFFFF));
    }

    #[test]
    fn an_odd_last_byte_counts_as_padded_with_zero() {
        assert_eq!(
            Sum::default().bytes(&[1, 2, 3]).finish(),
            Sum::default().bytes(&[1, 2, 3, 0]).finish()
        );
        assert_eq!(Sum::default().bytes(&[1, 2, 3]).finish(), !0x0402);
    }
}
