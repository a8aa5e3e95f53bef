//! Hash table from a number that frames carry to the session that is declared with it. Filled once,
//! then only searched.
//!
//! Open addressing with linear probing, at most five of eight slots in use: nearly every search
//! ends in the cache line in which it begins. That line follows from the number alone, so it can be
//! prefetched. A sender of made-up numbers causes longer searches only next to declared numbers
//! that lie close together, because numbers from frames are never inserted.

use super::SessionId;
use crate::sys::prefetch;

/// Number of a free slot. No session has it: the numbers of IPv4 keys have 56 bits, VNIs 24.
const FREE: u64 = u64::MAX;

/// Multipliers to choose from, odd and without a pattern in their bits: 2^64 divided by the golden
/// ratio, and its powers.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
const MULTIPLIERS_TRIED: usize = 16;

/// Minimum number of slots; a power of two.
const SLOTS_MIN: usize = 8;

#[derive(Clone, Copy, Debug)]
#[repr(align(16))]
struct Slot {
    number: u64,
    session: SessionId,
}

/// The sessions by number.
#[derive(Debug)]
pub(super) struct SessionIndex {
    /// Slots; their number is a power of two, and some are always free.
    slots: Box<[Slot]>,
    /// Multiplier of the hash: the highest bits of its product with a number are the index of the
    /// slot at which the search begins.
    multiplier: u64,
    /// Right shift that leaves the highest bits of the product.
    shift: u32,
}

impl Default for SessionIndex {
    fn default() -> Self {
        Self::new(&[])
    }
}

impl SessionIndex {
    /// Returns the index of these sessions. Of two with the same number the later one counts.
    ///
    /// Addresses and VNIs are often consecutive, and each multiplier makes some steps between them
    /// collide. The multiplier with the shortest searches is taken.
    ///
    /// # Panics
    ///
    /// If a number is `u64::MAX`.
    pub(super) fn new(sessions: &[(u64, SessionId)]) -> Self {
        let multipliers =
            std::iter::successors(Some(MULTIPLIER), |last| Some(last.wrapping_mul(MULTIPLIER)));
        let indices =
            multipliers.take(MULTIPLIERS_TRIED).map(|multiplier| Self::with(multiplier, sessions));
        let steps =
            |index: &Self| sessions.iter().map(|&(number, _)| index.steps(number)).sum::<usize>();
        indices.min_by_key(steps).expect("one multiplier at least is tried")
    }

    fn with(multiplier: u64, sessions: &[(u64, SessionId)]) -> Self {
        let len = (sessions.len() * 8 / 5 + 1).next_power_of_two().max(SLOTS_MIN);
        let free = Slot { number: FREE, session: SessionId::DEFAULT };
        let mut index =
            Self { slots: vec![free; len].into(), multiplier, shift: u64::BITS - len.ilog2() };
        for &(number, session) in sessions {
            assert_ne!(number, FREE, "no session has this number");
            let (Ok((slot, _)) | Err(slot)) = index.search(number);
            index.slots[slot] = Slot { number, session };
        }
        index
    }

    /// Returns the session with this number.
    #[inline]
    pub(super) fn find(&self, number: u64) -> Option<SessionId> {
        self.search(number).ok().map(|(_, session)| session)
    }

    /// Prefetches the slots that [`Self::find`] will read.
    #[inline]
    pub(super) fn prefetch(&self, number: u64) {
        prefetch((&raw const self.slots[self.home(number)]).cast());
    }

    /// Returns the slot at which the search for a number begins.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "less than the number of slots")]
    const fn home(&self, number: u64) -> usize {
        (number.wrapping_mul(self.multiplier) >> self.shift) as usize
    }

    /// Returns the slot of a number with its session, or as an error the free slot at which the
    /// search for it ends.
    #[inline]
    fn search(&self, number: u64) -> Result<(usize, SessionId), usize> {
        let mask = self.slots.len() - 1;
        let mut slot = self.home(number);
        loop {
            let Some(&Slot { number: found, session }) = self.slots.get(slot & mask) else {
                return Err(slot & mask);
            };
            if found == number {
                return Ok((slot & mask, session));
            }
            if found == FREE {
                return Err(slot & mask);
            }
            slot += 1;
        }
    }

    /// Returns the number of slots that the search for a number reads.
    fn steps(&self, number: u64) -> usize {
        let (Ok((end, _)) | Err(end)) = self.search(number);
        (end.wrapping_sub(self.home(number)) & (self.slots.len() - 1)) + 1
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn numbered(numbers: impl Iterator<Item = u64>) -> Vec<(u64, SessionId)> {
        numbers.zip((1..).map(SessionId)).collect()
    }

    #[test]
    fn neighbouring_addresses_and_vnis_do_not_crowd() {
        const COUNT: u64 = 10_000;
        let pair = |address: u64, vni: u64| (0x0a00_0000 + address) << 24 | vni;
        let layouts = [
            numbered((0..COUNT).map(|n| pair(n, 100))),
            numbered((0..COUNT).map(|n| pair(7, n))),
            numbered((0..COUNT).map(|n| pair(n, n))),
            numbered((0..COUNT).map(|n| pair(n << 8, 1))),
            numbered((0..COUNT).map(|n| pair(n % 100, n / 100))),
            numbered(0..COUNT),
        ];
        for sessions in layouts {
            let index = SessionIndex::new(&sessions);
            let steps: Vec<usize> =
                sessions.iter().map(|&(number, _)| index.steps(number)).collect();
            let (sum, longest) = (steps.iter().sum::<usize>(), steps.iter().max().copied());
            assert!(
                sum < 2 * sessions.len() && longest < Some(64),
                "{sum} steps, {longest:?} at most"
            );
        }
    }

    #[test]
    fn an_empty_index_has_nothing() {
        let index = SessionIndex::new(&[]);
        assert_eq!([0, 1, FREE - 1].map(|number| index.find(number)), [None; 3]);
    }

    proptest! {
        #[test]
        fn it_finds_what_a_map_finds(
            numbers in prop::collection::vec(0..3000_u64, 0..1500),
            scale in prop::sample::select(vec![1_u64, 1 << 24, 1 << 40, MULTIPLIER >> 8]),
        ) {
            let scaled = |number: u64| number.wrapping_mul(scale) & ((1 << 56) - 1);
            let sessions = numbered(numbers.iter().map(|&number| scaled(number)));
            let (index, map) = (SessionIndex::new(&sessions), sessions.into_iter().collect::<HashMap<_, _>>());
            for number in (0..3000).map(scaled) {
                prop_assert_eq!(index.find(number), map.get(&number).copied());
            }
        }
    }
}
