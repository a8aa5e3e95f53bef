//! From a number that frames carry to the session that was declared with it. Filled once, then only
//! searched.
//!
//! Open addressing, linear probing, at most five of eight slots in use: nearly every search ends in
//! the cache line in which it begins, and where that lies follows from the number alone, so that it
//! can be fetched ahead. Who sends made-up numbers searches longer only where the declared ones lie
//! close together: nothing that frames carry is ever put in.

use super::SessionId;
use crate::sys::prefetch;

/// Marks a free slot. Nobody's number: those of IPv4 pairs have 56 bits, VNIs 24.
const FREE: u64 = u64::MAX;

/// Multipliers to choose from, odd and with no pattern in their bits: 2^64 divided by the golden
/// ratio, and its powers.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
const MULTIPLIERS_TRIED: usize = 16;

/// Slots at least; a power of two.
const SLOTS_MIN: usize = 8;

#[derive(Clone, Copy, Debug)]
#[repr(align(16))]
struct Slot {
    number: u64,
    session: SessionId,
}

/// The sessions by number.
#[derive(Debug)]
pub(super) struct Index {
    /// A power of two, and never all in use.
    slots: Box<[Slot]>,
    /// The highest bits of its product with a number are the index of the slot at which the search
    /// begins.
    multiplier: u64,
    /// What is left of the product when it is shifted so far.
    shift: u32,
}

impl Default for Index {
    fn default() -> Self {
        Self::new(&[])
    }
}

impl Index {
    /// The index of these sessions. Of two with one number the later one counts.
    ///
    /// Addresses and VNIs count up in steps, and for each multiplier there are steps that crowd:
    /// the one is taken with which searches are the shortest.
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
            let (Ok((place, _)) | Err(place)) = index.search(number);
            index.slots[place] = Slot { number, session };
        }
        index
    }

    /// The session with this number.
    #[inline]
    pub(super) fn find(&self, number: u64) -> Option<SessionId> {
        self.search(number).ok().map(|(_, session)| session)
    }

    /// Asks the CPU to fetch what [`Self::find`] will read.
    #[inline]
    pub(super) fn prefetch(&self, number: u64) {
        prefetch((&raw const self.slots[self.home(number)]).cast());
    }

    /// Where the search for a number begins.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "less than the number of slots")]
    const fn home(&self, number: u64) -> usize {
        (number.wrapping_mul(self.multiplier) >> self.shift) as usize
    }

    /// The slot of a number with its session, or as an error the free slot at which the search for
    /// it ends.
    #[inline]
    fn search(&self, number: u64) -> Result<(usize, SessionId), usize> {
        let mask = self.slots.len() - 1;
        let mut place = self.home(number);
        loop {
            let Some(&Slot { number: found, session }) = self.slots.get(place & mask) else {
                return Err(place & mask);
            };
            if found == number {
                return Ok((place & mask, session));
            }
            if found == FREE {
                return Err(place & mask);
            }
            place += 1;
        }
    }

    /// Slots that the search for a number looks at.
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
            let index = Index::new(&sessions);
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
        let index = Index::new(&[]);
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
            let (index, map) = (Index::new(&sessions), sessions.into_iter().collect::<HashMap<_, _>>());
            for number in (0..3000).map(scaled) {
                prop_assert_eq!(index.find(number), map.get(&number).copied());
            }
        }
    }
}
