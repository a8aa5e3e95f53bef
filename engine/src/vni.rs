//! The VXLAN network identifier.

use std::fmt;

/// A VXLAN Network Identifier: 24 bits, `0..=0xFF_FFFF`, in host byte order.
///
/// RFC 7348 section 5 reserves no value, so zero is legal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Vni(u32);

impl Vni {
    /// The lowest VNI.
    pub const MIN: Self = Self(0);
    /// The highest VNI, 16 777 215.
    pub const MAX: Self = Self(0xFF_FFFF);

    /// Returns the VNI with this number, or `None` above [`Vni::MAX`].
    pub const fn new(number: u32) -> Option<Self> {
        if number <= Self::MAX.0 { Some(Self(number)) } else { None }
    }

    /// Returns the VNI in the three bytes of a tunnel header, network byte order.
    #[inline]
    pub(crate) const fn from_bytes(bytes: [u8; 3]) -> Self {
        Self(u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]))
    }

    /// Returns the VNI in the last word of a VXLAN header, host byte order.
    #[inline]
    pub(crate) const fn of_word(word: u32) -> Self {
        Self(word >> 8)
    }

    /// Returns the number, `0..=0xFF_FFFF`.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Vni {
    type Error = InvalidVni;

    fn try_from(number: u32) -> Result<Self, InvalidVni> {
        Self::new(number).ok_or(InvalidVni { found: number })
    }
}

impl From<Vni> for u32 {
    fn from(vni: Vni) -> Self {
        vni.get()
    }
}

impl fmt::Display for Vni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Error of a number that needs more than the 24 bits of a VNI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found} is no VNI; a VNI is {} to {}", Vni::MIN, Vni::MAX)]
pub struct InvalidVni {
    /// The number.
    pub found: u32,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_whole_range_of_24_bits_is_accepted_and_nothing_above() {
        assert_eq!(Vni::new(0), Some(Vni::MIN));
        assert_eq!(Vni::new(0xFF_FFFF), Some(Vni::MAX));
        assert_eq!(Vni::new(0x100_0000), None);
        assert_eq!(Vni::new(u32::MAX), None);
    }

    #[test]
    fn the_error_names_the_number_and_the_range() {
        let error = Vni::try_from(16_777_216).expect_err("25 bits");
        assert_eq!(error.to_string(), "16777216 is no VNI; a VNI is 0 to 16777215");
    }

    proptest! {
        #[test]
        fn a_vni_is_refused_exactly_when_it_has_more_than_24_bits(
            number in prop_oneof![any::<u32>(), 0..=0x1FF_FFFF_u32],
        ) {
            match Vni::try_from(number) {
                Ok(vni) => {
                    prop_assert_eq!(number >> 24, 0);
                    prop_assert_eq!(u32::from(vni), number);
                    prop_assert_eq!(vni.to_string(), number.to_string());
                }
                Err(InvalidVni { found }) => {
                    prop_assert_ne!(number >> 24, 0);
                    prop_assert_eq!(found, number);
                }
            }
        }
    }
}
