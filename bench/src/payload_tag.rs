//! The tag in every inner frame's payload, by which a receiver identifies and checks the frame.
//!
//! ```text
//!  byte 0       4     8         10     12          13        14            16         24         32
//!       │ magic │ run │ session │ flow │ direction │ version │ payload len │ sequence │ checksum │ filler
//!       │ vxg1  │ u32 │ u16     │ u16  │ 0 or 1    │ 1       │ u16         │ u64      │ u64      │
//! ```
//!
//! All numbers are big-endian. The payload length counts from the tag's first byte to the frame's
//! end. The checksum covers all of these bytes except itself, so that a receiver without the
//! [`Profile`](crate::Profile) can also detect a damaged payload; one that has it makes the whole
//! frame again and compares.

use crate::bit_hash::{FACTOR, hash};
use crate::direction::Direction;

/// Length of the tag in bytes.
pub const LEN: usize = 32;

const MAGIC: [u8; 4] = *b"vxg1";
const VERSION: u8 = 1;
/// Bytes of the tag before the checksum.
const SUMMED: usize = 24;
/// The record's fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayloadTag {
    /// Hash of the fields of the profile on which inner frames depend.
    pub run: u32,
    /// Index in the profile's list of sessions.
    pub session: u16,
    /// Number of the flow within its session.
    pub flow: u16,
    /// Direction within the flow.
    pub direction: Direction,
    /// Number of the frame within its flow and direction, from 0.
    pub sequence: u64,
    /// Bytes from the tag's start to the frame's end.
    pub payload_len: u16,
}

impl PayloadTag {
    /// Appends the tag and the filler to a frame.
    pub(crate) fn write(&self, filler: &[u8], frame: &mut Vec<u8>) {
        let head = self.head();
        frame.extend_from_slice(&head);
        frame.extend_from_slice(&digest(&head, filler).to_be_bytes());
        frame.extend_from_slice(filler);
    }

    fn head(&self) -> [u8; SUMMED] {
        let mut head = [0; SUMMED];
        head[0..4].copy_from_slice(&MAGIC);
        head[4..8].copy_from_slice(&self.run.to_be_bytes());
        head[8..10].copy_from_slice(&self.session.to_be_bytes());
        head[10..12].copy_from_slice(&self.flow.to_be_bytes());
        head[12] = self.direction as u8;
        head[13] = VERSION;
        head[14..16].copy_from_slice(&self.payload_len.to_be_bytes());
        head[16..24].copy_from_slice(&self.sequence.to_be_bytes());
        head
    }

    /// Reads the tag at the start of a payload; `None` if there is none.
    ///
    /// The fields are not checked: see [`is_intact`].
    pub fn read(payload: &[u8]) -> Option<Self> {
        let head: &[u8; SUMMED] = payload.first_chunk()?;
        if payload.len() < LEN || head[0..4] != MAGIC || head[13] != VERSION {
            return None;
        }
        let two = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
        Some(Self {
            run: u32::from(two(4)) << 16 | u32::from(two(6)),
            session: two(8),
            flow: two(10),
            direction: Direction::from_bit(head[12])?,
            payload_len: two(14),
            sequence: (0..4).fold(0, |sum, i| sum << 16 | u64::from(two(16 + 2 * i))),
        })
    }
}

/// Returns whether a payload that starts with the tag has the checksum that the tag names, which
/// also covers its length.
pub fn is_intact(payload: &[u8]) -> bool {
    if PayloadTag::read(payload).is_none() {
        return false;
    }
    let Some((head, rest)) = payload.split_first_chunk() else { return false };
    let Some((checksum, filler)) = rest.split_first_chunk::<{ LEN - SUMMED }>() else {
        return false;
    };
    digest(head, filler).to_be_bytes() == *checksum
}

/// Hashes the tag and the filler in four lanes of 64 bits.
///
/// Each step is a one-to-one function of the lane and of the word, so damage within one word is
/// always detected; other damage is missed once in 2^64.
fn digest(head: &[u8; SUMMED], filler: &[u8]) -> u64 {
    let mut lanes = [1_u64, 2, 3, 4];
    let mut take = |bytes: &[u8; 32]| {
        for (lane, word) in lanes.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *lane = (*lane ^ u64::from_le_bytes(*word)).wrapping_mul(FACTOR).rotate_left(29);
        }
    };
    let mut first = [0; 32];
    first[..SUMMED].copy_from_slice(head);
    first[SUMMED..].copy_from_slice(&(filler.len() as u64).to_le_bytes());
    take(&first);
    let (blocks, rest) = filler.as_chunks::<32>();
    blocks.iter().for_each(&mut take);
    let mut last = [0; 32];
    last[..rest.len()].copy_from_slice(rest);
    take(&last);
    lanes.into_iter().fold(0, |sum, lane| hash(sum ^ lane))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(filler: &[u8]) -> (PayloadTag, Vec<u8>) {
        let payload_len = u16::try_from(LEN + filler.len()).expect("short filler");
        let tag = PayloadTag {
            run: 0xDEAD_BEEF,
            session: 7,
            flow: 300,
            direction: Direction::Ingress,
            sequence: u64::MAX - 5,
            payload_len,
        };
        let mut bytes = Vec::new();
        tag.write(filler, &mut bytes);
        (tag, bytes)
    }

    #[test]
    fn a_record_reads_back_as_written() {
        for filler_len in [0, 1, 31, 32, 33, 100] {
            let (tag, bytes) = payload(&vec![0xA5; filler_len]);
            assert_eq!(PayloadTag::read(&bytes), Some(tag));
            assert!(is_intact(&bytes));
        }
    }

    #[test]
    fn every_single_bit_of_damage_is_seen() {
        let (_, bytes) = payload(b"forty-one bytes of filler after the record");
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_intact(&damaged), "bit {bit}");
        }
    }

    #[test]
    fn a_payload_cut_anywhere_is_not_intact() {
        let (_, bytes) = payload(&[0; 40]);
        for len in 0..bytes.len() {
            assert!(!is_intact(&bytes[..len]), "length {len}");
        }
    }
}
