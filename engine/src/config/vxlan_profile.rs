//! Profiles: the meaning that a mirror gives to the reserved bits of the VXLAN header.

use super::error::{Problem, Violation};
use super::filter::Direction;
use super::key::{Entry, KeyPath};
use super::limit::Limit;
use super::name::check_name;
use super::unique::Seen;

/// Bits of a VXLAN header, numbered as RFC 7348, section 5 draws them: 0 is the most significant
/// bit of the first byte.
pub(super) const BIT: Limit = Limit::Range(0, 63);
/// Fewer bits wrap too soon to tell loss from delay; there are never more than 24 adjacent reserved
/// bits.
pub(super) const BIT_COUNT: Limit = Limit::Range(4, 24);

/// Meaning of the reserved bits of the VXLAN header in the frames of a mirror (0 to 3, 5 to 31 and
/// 56 to 63; 4 is the I flag, 32 to 55 are the VNI). Table `[[vxlan_profile]]` of the file. AWS's
/// mirrors leave all of them zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VxlanProfile {
    /// Name, 1 to 255 bytes without control characters, different from those of the other profiles.
    pub name: String,
    /// Bit that holds the direction; `None`: the direction is inferred.
    pub direction: Option<DirectionBit>,
    /// Bits that hold a sequence number; `None`: there is none.
    pub sequence: Option<SequenceBits>,
}

/// A bit that holds the direction of the frame at the mirrored interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectionBit {
    /// Number of the bit.
    pub bit: u8,
    /// Direction of frames with the bit set; all others have the other direction.
    pub set: Direction,
}

/// Bits that hold a sequence number: one higher in each frame of a session, and 0 after the highest
/// value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceBits {
    /// Number of the most significant bit.
    pub first_bit: u8,
    /// Number of bits, 4 to 24.
    pub bit_count: u8,
}

/// Mask of the reserved bits; the most significant bit of the integer is bit 0.
const RESERVED: u64 = !(1 << (63 - 4) | 0x00ff_ffff << 8);

/// Returns the mask of `count` bits from `first` on; `None` if they reach beyond the header.
pub(crate) const fn mask(first: u8, count: u8) -> Option<u64> {
    match 64_u32.checked_sub(first as u32 + count as u32) {
        Some(shift) if shift < 64 => Some(((1 << count) - 1) << shift),
        _ => None,
    }
}

pub(super) fn check_vxlan_profiles(vxlan_profiles: &[VxlanProfile]) -> Result<(), Violation> {
    let mut names = Seen::default();
    for (position, VxlanProfile { name, direction, sequence }) in vxlan_profiles.iter().enumerate()
    {
        let entry = Entry { section: "vxlan_profile", position };
        check_name(name, &mut names, entry, "name")?;
        let mut used = 0;
        if let Some(DirectionBit { bit, set: _ }) = *direction {
            used = check_bits(bit, 1, 0, &entry.key("direction").key("bit"))?;
        }
        if let Some(SequenceBits { first_bit, bit_count }) = *sequence {
            let key = entry.key("sequence");
            BIT_COUNT.check(bit_count).map_err(|problem| problem.at(key.key("bit_count")))?;
            check_bits(first_bit, bit_count, used, &key.key("first_bit"))?;
        }
    }
    Ok(())
}

/// Checks that bits are reserved and not in use; returns their mask.
fn check_bits(first: u8, count: u8, used: u64, key: &KeyPath) -> Result<u64, Violation> {
    BIT.check(first).map_err(|problem| problem.at(key.clone()))?;
    let found =
        if count == 1 { format!("bit {first}") } else { format!("{count} bits from {first} on") };
    let mask = mask(first, count).filter(|mask| mask & !RESERVED == 0);
    let Some(mask) = mask else {
        let allowed = "bits that RFC 7348 reserves: 0 to 3, 5 to 31 and 56 to 63";
        return Err(Problem::refused(found, allowed).at(key.clone()));
    };
    if mask & used != 0 {
        return Err(Problem::refused(found, "other bits than those of `direction`").at(key.clone()));
    }
    Ok(mask)
}
