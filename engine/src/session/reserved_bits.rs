//! Reads the fields that a mirror puts into the reserved bits of a VXLAN header.

use crate::config::{Direction, DirectionBit, SequenceBits, VxlanProfile, bit_mask};

/// Places of a profile's fields in a VXLAN header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct VxlanReservedBits {
    direction: Option<(u64, Direction)>,
    /// Shift and number of bits.
    sequence: Option<(u32, u32)>,
}

impl VxlanReservedBits {
    /// Returns the places that a valid profile states.
    pub(crate) fn new(profile: &VxlanProfile) -> Self {
        let direction =
            profile.direction.and_then(|DirectionBit { bit, set }| Some((bit_mask(bit, 1)?, set)));
        let sequence = profile.sequence.and_then(|SequenceBits { first_bit, bit_count }| {
            Some((bit_mask(first_bit, bit_count)?.trailing_zeros(), bit_count.into()))
        });
        Self { direction, sequence }
    }

    /// Returns the direction that a header states.
    pub(crate) fn direction(self, header: [u8; 8]) -> Option<Direction> {
        let (mask, set) = self.direction?;
        let is_set = u64::from_be_bytes(header) & mask != 0;
        Some(match (set, is_set) {
            (set, true) => set,
            (Direction::Ingress, false) => Direction::Egress,
            (Direction::Egress, false) => Direction::Ingress,
        })
    }

    /// Returns the sequence number in a header.
    pub(crate) fn number(self, header: [u8; 8]) -> Option<u32> {
        let (shift, bits) = self.sequence?;
        let value = u64::from_be_bytes(header) >> shift & ((1 << bits) - 1);
        u32::try_from(value).ok()
    }

    /// Returns the width of the sequence numbers in bits, if the profile has them.
    pub(crate) fn number_bits(self) -> Option<u32> {
        self.sequence.map(|(_, bits)| bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_where_the_profile_says_that_they_are() {
        let profile = VxlanProfile {
            direction: Some(DirectionBit { bit: 63, set: Direction::Egress }),
            sequence: Some(SequenceBits { first_bit: 8, bit_count: 24 }),
            ..VxlanProfile::default()
        };
        let reserved_bits = VxlanReservedBits::new(&profile);
        let header = [0x08, 0x12, 0x34, 0x56, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(
            (reserved_bits.direction(header), reserved_bits.number(header)),
            (Some(Direction::Egress), Some(0x0012_3456))
        );
        assert_eq!(reserved_bits.direction([8, 0, 0, 0, 0, 0, 7, 0xfe]), Some(Direction::Ingress));
        let none = VxlanReservedBits::new(&VxlanProfile::default());
        assert_eq!(
            (none.direction(header), none.number(header), none.number_bits()),
            (None, None, None)
        );
        let first = VxlanProfile {
            sequence: Some(SequenceBits { first_bit: 0, bit_count: 4 }),
            ..VxlanProfile::default()
        };
        assert_eq!(VxlanReservedBits::new(&first).number([0xa8, 0, 0, 0, 0, 0, 7, 0]), Some(10));
    }
}
