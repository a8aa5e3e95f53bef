//! Counting traffic that nobody declared, by pair: a mirror that arrives unexpectedly is seen, not
//! guessed.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::Pair;
use super::pair::Key;
use crate::frame_bytes::FrameBytes;

/// Pairs that are counted one by one. Beyond them frames are counted together, so that a sender of
/// made-up VNIs uses up neither memory nor time. 4096 pairs take about 420 KiB per worker; AWS
/// allows 10 000 sessions per account, of which the undeclared ones are expected to be few.
pub(crate) const PAIRS_MAX: usize = 4096;

/// Traffic of undeclared pairs. Allocates nothing after it is made.
#[derive(Debug)]
pub(crate) struct UnknownPairs {
    /// Places in `tallies`.
    places: HashMap<Key, u32, RandomState>,
    tallies: Vec<(Key, FrameBytes)>,
    pairs_max: usize,
    beyond: FrameBytes,
    /// The pair counted last: traffic comes in runs.
    last: Option<(Key, u32)>,
}

impl UnknownPairs {
    /// An empty table with room for `pairs_max` pairs.
    pub(crate) fn new(pairs_max: usize) -> Self {
        Self {
            places: HashMap::with_capacity_and_hasher(pairs_max, RandomState::default()),
            tallies: Vec::with_capacity(pairs_max),
            pairs_max,
            beyond: FrameBytes::default(),
            last: None,
        }
    }

    /// Counts a frame of `bytes` bytes.
    #[inline]
    pub(crate) fn count(&mut self, key: Key, bytes: u64) {
        let place = match self.last {
            Some((last, place)) if last == key => Some(place),
            _ => self.place(key),
        };
        match place {
            Some(place) => self.tallies[place as usize].1.add(bytes),
            None => self.beyond.add(bytes),
        }
    }

    /// The place of a pair, which it is given if it has none and there is one left.
    fn place(&mut self, key: Key) -> Option<u32> {
        let place = match self.places.get(&key) {
            Some(&place) => place,
            None if self.tallies.len() < self.pairs_max => {
                let place = u32::try_from(self.tallies.len()).ok()?;
                self.places.insert(key, place);
                self.tallies.push((key, FrameBytes::default()));
                place
            }
            None => return None,
        };
        self.last = Some((key, place));
        Some(place)
    }

    /// Copies the counts: one per pair, and one for all pairs beyond the table's size.
    pub(crate) fn copy_to(&self, tallies: &mut Vec<(Pair, FrameBytes)>, beyond: &mut FrameBytes) {
        tallies.clear();
        tallies.extend(self.tallies.iter().map(|(key, tally)| (key.pair(), *tally)));
        *beyond = self.beyond;
    }
}

#[cfg(test)]
mod tests {
    use vxtap_ebpf::parse::Source;

    use super::super::Vni;
    use super::*;

    #[test]
    fn a_full_table_counts_what_comes_beyond_it_together() {
        let mut unknown = UnknownPairs::new(2);
        for (last, vni) in [(1, 5), (1, 5), (2, 5), (3, 5), (1, 5), (1, 6)] {
            unknown.count(Key::new(Source::V4([10, 0, 0, last]), Vni::new(vni).unwrap()), 100);
        }
        let (mut tallies, mut beyond) = (Vec::new(), FrameBytes::default());
        unknown.copy_to(&mut tallies, &mut beyond);
        tallies.sort();
        let pair = |last| Pair { source: [10, 0, 0, last].into(), vni: Vni::new(5).unwrap() };
        assert_eq!(
            tallies,
            [
                (pair(1), FrameBytes { frames: 3, bytes: 300 }),
                (pair(2), FrameBytes { frames: 1, bytes: 100 })
            ]
        );
        assert_eq!(beyond, FrameBytes { frames: 2, bytes: 200 });
    }
}
