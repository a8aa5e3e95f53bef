//! How long the inner frames are: a cycle of lengths that every flow direction walks through.
//!
//! Because the lengths repeat, the bytes that a flow has carried before its n-th frame are known
//! without adding them up. That gives TCP its sequence numbers, and lets a receiver make any frame
//! on its own.

use std::str::FromStr;

use crate::profile::{MAX_INNER_LEN, ProfileError};

/// Longest list of lengths.
pub(crate) const MAX_LENGTHS: usize = 1024;

/// The 7:4:1 of 64, 594 and 1518 bytes that goes by the name of simple IMIX, less the four bytes of
/// FCS that a mirrored frame has not, and with the long frames spread out.
const IMIX: [u16; 12] = [60, 590, 60, 590, 60, 1514, 60, 590, 60, 590, 60, 60];

/// Lengths of inner frames in bytes: Ethernet header included, FCS not.
///
/// A frame that is too short for its headers and the proof is made as long as they need: 74 bytes
/// (UDP over IPv4) to 165 bytes (a DNS response over IPv6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sizes {
    /// Every frame alike.
    Fixed(u16),
    /// 60, 590 and 1514 bytes in the proportion 7:4:1.
    Imix,
    /// These lengths in turn, 1 to 1024 of them.
    List(Vec<u16>),
}

impl Sizes {
    /// The lengths of one turn.
    pub(crate) fn lengths(&self) -> &[u16] {
        match self {
            Self::Fixed(len) => std::slice::from_ref(len),
            Self::Imix => &IMIX,
            Self::List(lengths) => lengths,
        }
    }

    pub(crate) fn check(&self) -> Result<(), ProfileError> {
        let lengths = self.lengths();
        if lengths.is_empty() || lengths.len() > MAX_LENGTHS {
            return Err(ProfileError::SizeCount { count: lengths.len() });
        }
        match lengths.iter().find(|len| !(1..=MAX_INNER_LEN).contains(len)) {
            Some(&len) => Err(ProfileError::Size { len: len.into() }),
            None => Ok(()),
        }
    }
}

impl FromStr for Sizes {
    type Err = ProfileError;

    /// Reads `imix`, a length (`512`), or several (`60,590,1514`).
    fn from_str(text: &str) -> Result<Self, ProfileError> {
        if text == "imix" {
            return Ok(Self::Imix);
        }
        let mut lengths = text.split(',').map(read_length).collect::<Result<Vec<_>, _>>()?;
        let sizes = match lengths.as_mut_slice() {
            [len] => Self::Fixed(*len),
            _ => Self::List(lengths),
        };
        sizes.check()?;
        Ok(sizes)
    }
}

fn read_length(text: &str) -> Result<u16, ProfileError> {
    let len: u64 =
        text.trim().parse().ok().ok_or_else(|| ProfileError::SizeText { text: text.to_owned() })?;
    u16::try_from(len).ok().ok_or(ProfileError::Size { len })
}

/// The cycle for frames with a given length of headers.
#[derive(Debug)]
pub(crate) struct Cycle {
    /// Frame lengths in bytes, none below the least that the headers and the proof need.
    lens: Vec<u16>,
    /// Bytes after the headers in all frames of the turn before this one; one entry more than
    /// `lens`.
    payload_before: Vec<u64>,
}

impl Cycle {
    /// Makes the cycle for frames whose headers take `header_len` bytes and that hold `least` bytes
    /// at least.
    pub(crate) fn new(sizes: &Sizes, header_len: u16, least: u16) -> Self {
        debug_assert!(header_len <= least);
        let lens: Vec<u16> = sizes.lengths().iter().map(|&len| len.max(least)).collect();
        let mut payload_before = vec![0];
        let mut sum = 0;
        for &len in &lens {
            sum += u64::from(len - header_len);
            payload_before.push(sum);
        }
        Self { lens, payload_before }
    }

    /// Length in bytes of the frame at this place of the endless cycle.
    pub(crate) fn frame_len(&self, place: u64) -> u16 {
        self.lens[self.turn(place).1]
    }

    /// Payload bytes of the frames from the start of the cycle up to this place, modulo 2^64.
    pub(crate) fn payload_before(&self, place: u64) -> u64 {
        let (turns, rest) = self.turn(place);
        self.payload_before[self.lens.len()]
            .wrapping_mul(turns)
            .wrapping_add(self.payload_before[rest])
    }

    /// Whole turns before this place, and the index within its turn.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the remainder is below the number of lengths"
    )]
    const fn turn(&self, place: u64) -> (u64, usize) {
        let len = self.lens.len() as u64;
        (place / len, (place % len) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imix_keeps_the_proportion_7_4_1() {
        let count = |len| IMIX.iter().filter(|&&l| l == len).count();
        assert_eq!((count(60), count(590), count(1514)), (7, 4, 1));
    }

    #[test]
    fn payload_before_is_the_sum_of_the_frames_before() {
        let cycle = Cycle::new(&Sizes::List(vec![60, 200, 100]), 54, 86);
        let mut sum = 0;
        for place in 0..20 {
            assert_eq!(cycle.payload_before(place), sum, "place {place}");
            sum += u64::from(cycle.frame_len(place)) - 54;
        }
    }

    #[test]
    fn short_lengths_are_raised_to_what_the_proof_needs() {
        let cycle = Cycle::new(&Sizes::Fixed(1), 42, 74);
        assert_eq!(cycle.frame_len(7), 74);
    }

    #[test]
    fn lengths_are_read_from_text() {
        assert_eq!("imix".parse(), Ok(Sizes::Imix));
        assert_eq!("512".parse(), Ok(Sizes::Fixed(512)));
        assert_eq!("60, 590".parse(), Ok(Sizes::List(vec![60, 590])));
        let error = |text: &str| text.parse::<Sizes>().expect_err("refused").to_string();
        assert_eq!(
            error("big"),
            "`big` is no frame length: write imix, a length in bytes, or lengths separated by commas"
        );
        assert_eq!(error("0"), "inner frame length 0: give 1 to 8965 bytes");
        assert_eq!(error("70000"), "inner frame length 70000: give 1 to 8965 bytes");
    }
}
