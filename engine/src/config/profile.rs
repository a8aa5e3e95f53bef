//! What mirrors put into the reserved bits of VXLAN headers.

use super::error::{Problem, Violation};
use super::filter::Direction;
use super::key::KeyPath;
use super::limit::Limit;
use super::name::check_name;
use super::once::Seen;

/// Bits of a VXLAN header, numbered as RFC 7348, section 5 draws them: 0 is the most significant
/// bit of the first byte.
pub(super) const BIT: Limit = Limit::Range(0, 63);
/// Fewer come again too soon to tell a loss from a delay; no more reserved bits lie side by side.
pub(super) const SEQUENCE_BITS: Limit = Limit::Range(4, 24);

/// How a mirror marks its frames: what it puts into the bits of the VXLAN header that are reserved
/// (0 to 3, 5 to 31 and 56 to 63; 4 is the I flag, 32 to 55 are the VNI). Table `[[profile]]` of
/// the file. AWS's mirrors leave all of them zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Name, 1 to 255 bytes without control characters, different from those of the other profiles.
    pub name: String,
    /// A bit that says where a frame goes; `None`: it is inferred.
    pub direction: Option<DirectionBit>,
    /// Bits that count a session's frames; `None`: nothing does.
    pub sequence: Option<SequenceBits>,
}

/// A bit that says whether a frame goes to the mirrored interface or comes from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectionBit {
    /// Which bit.
    pub bit: u8,
    /// The direction of frames in which it is set; the others have the other one.
    pub set: Direction,
}

/// Bits that hold a number which is one higher in each frame of a session, and goes on at 0 after
/// its highest value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceBits {
    /// The most significant one.
    pub bit: u8,
    /// How many there are, 4 to 24.
    pub bits: u8,
}

/// Bits that are reserved; the most significant one of the integer is bit 0.
const RESERVED: u64 = !(1 << (63 - 4) | 0x00ff_ffff << 8);

/// The bits from `first` on; `None` if they reach beyond the header.
pub(crate) const fn mask(first: u8, count: u8) -> Option<u64> {
    match 64_u32.checked_sub(first as u32 + count as u32) {
        Some(shift) if shift < 64 => Some(((1 << count) - 1) << shift),
        _ => None,
    }
}

pub(super) fn check_profiles(profiles: &[Profile]) -> Result<(), Violation> {
    let mut names = Seen::default();
    for (position, Profile { name, direction, sequence }) in profiles.iter().enumerate() {
        let key = KeyPath::top("profile").index(position);
        check_name(name, &mut names, key.key("name"))?;
        let mut used = 0;
        if let Some(DirectionBit { bit, set: _ }) = *direction {
            used = check_bits(bit, 1, 0, &key.key("direction").key("bit"))?;
        }
        if let Some(SequenceBits { bit, bits }) = *sequence {
            let key = key.key("sequence");
            SEQUENCE_BITS.check(bits).map_err(|problem| problem.at(key.key("bits")))?;
            check_bits(bit, bits, used, &key.key("bit"))?;
        }
    }
    Ok(())
}

/// Checks that bits are reserved and not in use; returns them.
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
