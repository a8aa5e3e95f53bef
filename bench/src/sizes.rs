//! Lengths of the inner frames: a cycle of lengths that every flow direction repeats.
//!
//! Because the lengths repeat, the bytes that a flow has carried before its n-th frame are known
//! without adding them up. That gives TCP its sequence numbers, and lets a receiver make any frame
//! on its own.

use std::str::FromStr;

/// Largest inner frame in bytes: it fits one outer IPv4 packet of 9001 bytes, the largest MTU of
/// EC2 (9001 - 20 IPv4 - 8 UDP - 8 VXLAN).
pub const MAX_INNER_LEN: u16 = 8965;

/// Longest list of lengths.
pub(crate) const MAX_LENGTHS: usize = 1024;

/// The 7:4:1 of 64, 594 and 1518 bytes that is known as simple IMIX, less the four bytes of FCS,
/// which mirrored frames do not have, and with the long frames spread out.
const IMIX: [u16; 12] = [60, 590, 60, 590, 60, 1514, 60, 590, 60, 590, 60, 60];

/// Lengths of inner frames in bytes: Ethernet header included, FCS not.
///
/// A frame that is too short for its headers and the payload tag is lengthened to their sum: 74
/// bytes (UDP over IPv4) to 165 bytes (a DNS response over IPv6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sizes {
    /// Every frame alike.
    Fixed(u16),
    /// 60, 590 and 1514 bytes in the proportion 7:4:1.
    Imix,
    /// A repeated list of 1 to 1024 lengths.
    List(Vec<u16>),
}

impl Sizes {
    /// The lengths of one cycle.
    pub(crate) fn lengths(&self) -> &[u16] {
        match self {
            Self::Fixed(len) => std::slice::from_ref(len),
            Self::Imix => &IMIX,
            Self::List(lengths) => lengths,
        }
    }

    pub(crate) fn check(&self) -> Result<(), SizesError> {
        let lengths = self.lengths();
        if lengths.is_empty() || lengths.len() > MAX_LENGTHS {
            return Err(SizesError::Count { count: lengths.len() });
        }
        match lengths.iter().find(|len| !(1..=MAX_INNER_LEN).contains(len)) {
            Some(&len) => Err(SizesError::Length { len: len.into() }),
            None => Ok(()),
        }
    }
}

impl FromStr for Sizes {
    type Err = SizesError;

    /// Reads `imix`, a length (`512`), or several (`60,590,1514`).
    fn from_str(text: &str) -> Result<Self, SizesError> {
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

fn read_length(text: &str) -> Result<u16, SizesError> {
    let len: u64 =
        text.trim().parse().ok().ok_or_else(|| SizesError::Text { text: text.to_owned() })?;
    u16::try_from(len).ok().ok_or(SizesError::Length { len })
}

/// Reason why frame lengths cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SizesError {
    /// A frame length outside the limits.
    #[error("inner frame length {len}: give 1 to {MAX_INNER_LEN} bytes")]
    Length {
        /// The length given.
        len: u64,
    },
    /// A text that is no list of lengths.
    #[error(
        "`{text}` is no frame length: write imix, a length in bytes, or lengths separated by commas"
    )]
    Text {
        /// The given text.
        text: String,
    },
    /// A list that is empty or too long to keep a table of.
    #[error("{count} frame lengths: give 1 to {MAX_LENGTHS}")]
    Count {
        /// The given number.
        count: usize,
    },
}

/// The cycle for frames with a given length of headers.
#[derive(Debug)]
pub(crate) struct Cycle {
    /// Frame lengths in bytes, none below the sum of the headers and the payload tag.
    lens: Vec<u16>,
    /// Bytes after the headers in all frames of the cycle before this one; one entry more than
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

    /// Length in bytes of the frame at this position of the endless cycle.
    pub(crate) fn frame_len(&self, position: u64) -> u16 {
        self.lens[self.split(position).1]
    }

    /// Payload bytes of the frames from the start of the cycle up to this position, modulo 2^64.
    pub(crate) fn payload_before(&self, position: u64) -> u64 {
        let (cycles, rest) = self.split(position);
        self.payload_before[self.lens.len()]
            .wrapping_mul(cycles)
            .wrapping_add(self.payload_before[rest])
    }

    /// Number of whole cycles before this position, and the index within its cycle.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the remainder is below the number of lengths"
    )]
    const fn split(&self, position: u64) -> (u64, usize) {
        let len = self.lens.len() as u64;
        (position / len, (position % len) as usize)
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
        for position in 0..20 {
            assert_eq!(cycle.payload_before(position), sum, "place {position}");
            sum += u64::from(cycle.frame_len(position)) - 54;
        }
    }

    #[test]
    fn short_lengths_are_raised_to_what_the_tag_needs() {
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
