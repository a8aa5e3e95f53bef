//! Counting traffic that nobody declared, by pair: a mirror that arrives unexpectedly is seen, not guessed.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use vxtap_ebpf::parse::Source;

use super::pair::Key;
use super::{Pair, Vni};
use crate::tally::Tally;

/// Pairs that are counted one by one. Beyond them frames are counted together, so that a sender of made-up VNIs uses
/// up neither memory nor time. 4096 pairs take about 200 KiB per worker; AWS allows 10 000 sessions per account, of
/// which the undeclared ones are expected to be few.
pub(crate) const PAIRS_MAX: usize = 4096;

/// Traffic of undeclared pairs. Allocates nothing after it is made.
#[derive(Debug)]
pub(crate) struct UnknownPairs {
    tallies: HashMap<Key, Tally, RandomState>,
    pairs_max: usize,
    beyond: Tally,
}

impl UnknownPairs {
    /// An empty table with room for `pairs_max` pairs.
    pub(crate) fn new(pairs_max: usize) -> Self {
        Self {
            tallies: HashMap::with_capacity_and_hasher(pairs_max, RandomState::default()),
            pairs_max,
            beyond: Tally::default(),
        }
    }

    /// Counts a frame of `bytes` bytes.
    #[inline]
    pub(crate) fn count(&mut self, source: Source, vni: Vni, bytes: u64) {
        let key = Key::new(source, vni);
        if let Some(tally) = self.tallies.get_mut(&key) {
            tally.add(bytes);
        } else if self.tallies.len() < self.pairs_max {
            self.tallies.entry(key).or_default().add(bytes);
        } else {
            self.beyond.add(bytes);
        }
    }

    /// Copies the counts: one per pair, and one for all pairs beyond the table's size.
    pub(crate) fn copy_to(&self, tallies: &mut Vec<(Pair, Tally)>, beyond: &mut Tally) {
        tallies.clear();
        tallies.extend(self.tallies.iter().map(|(key, tally)| (key.pair(), *tally)));
        *beyond = self.beyond;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_table_counts_what_comes_beyond_it_together() {
        let mut unknown = UnknownPairs::new(2);
        for (last, vni) in [(1, 5), (1, 5), (2, 5), (3, 5), (1, 5), (1, 6)] {
            unknown.count(Source::V4([10, 0, 0, last]), Vni::new(vni).unwrap(), 100);
        }
        let (mut tallies, mut beyond) = (Vec::new(), Tally::default());
        unknown.copy_to(&mut tallies, &mut beyond);
        tallies.sort();
        let pair = |last| Pair { source: [10, 0, 0, last].into(), vni: Vni::new(5).unwrap() };
        assert_eq!(
            tallies,
            [(pair(1), Tally { frames: 3, bytes: 300 }), (pair(2), Tally { frames: 1, bytes: 100 })]
        );
        assert_eq!(beyond, Tally { frames: 2, bytes: 200 });
    }
}
