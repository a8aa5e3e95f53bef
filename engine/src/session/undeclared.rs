//! Counts undeclared traffic by source and VNI, so that an unexpected mirror is visible.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::SourceVni;
use super::key::SessionKey;
use crate::frame_bytes::FrameBytes;

/// Maximum number of keys that are counted one by one. Frames of further keys are counted together,
/// so that a sender of made-up VNIs uses up neither memory nor time. 4096 keys take about 420 KiB
/// per worker; AWS allows 10 000 sessions per account, few of which are expected to be undeclared.
pub(crate) const UNDECLARED_MAX: usize = 4096;

/// Counts of undeclared traffic. Allocates nothing after it is made.
#[derive(Debug)]
pub(crate) struct UndeclaredTraffic {
    /// Indices in `counts`.
    index_by_key: HashMap<SessionKey, u32, RandomState>,
    counts: Vec<(SessionKey, FrameBytes)>,
    len_max: usize,
    overflow: FrameBytes,
    /// The key counted last: traffic arrives in runs.
    last: Option<(SessionKey, u32)>,
}

impl UndeclaredTraffic {
    /// Returns an empty table with room for `len_max` keys.
    pub(crate) fn new(len_max: usize) -> Self {
        Self {
            index_by_key: HashMap::with_capacity_and_hasher(len_max, RandomState::default()),
            counts: Vec::with_capacity(len_max),
            len_max,
            overflow: FrameBytes::default(),
            last: None,
        }
    }

    /// Counts a frame of `bytes` bytes.
    #[inline]
    pub(crate) fn count(&mut self, key: SessionKey, bytes: u64) {
        let index = match self.last {
            Some((last, index)) if last == key => Some(index),
            _ => self.index(key),
        };
        match index {
            Some(index) => self.counts[index as usize].1.add(bytes),
            None => self.overflow.add(bytes),
        }
    }

    /// Returns the index of a key; adds the key if it is new and there is room.
    fn index(&mut self, key: SessionKey) -> Option<u32> {
        let index = match self.index_by_key.get(&key) {
            Some(&index) => index,
            None if self.counts.len() < self.len_max => {
                let index = u32::try_from(self.counts.len()).ok()?;
                self.index_by_key.insert(key, index);
                self.counts.push((key, FrameBytes::default()));
                index
            }
            None => return None,
        };
        self.last = Some((key, index));
        Some(index)
    }

    /// Copies the counts: one per key, and one for all keys that the table had no room for.
    pub(crate) fn copy_to(
        &self,
        counts: &mut Vec<(SourceVni, FrameBytes)>,
        overflow: &mut FrameBytes,
    ) {
        counts.clear();
        counts.extend(self.counts.iter().map(|(key, count)| (key.source_vni(), *count)));
        *overflow = self.overflow;
    }
}

#[cfg(test)]
mod tests {
    use vxtap_ebpf::parse::Source;

    use super::super::Vni;
    use super::*;

    #[test]
    fn a_full_table_counts_what_comes_beyond_it_together() {
        let mut unknown = UndeclaredTraffic::new(2);
        for (last, vni) in [(1, 5), (1, 5), (2, 5), (3, 5), (1, 5), (1, 6)] {
            unknown
                .count(SessionKey::new(Source::V4([10, 0, 0, last]), Vni::new(vni).unwrap()), 100);
        }
        let (mut counts, mut overflow) = (Vec::new(), FrameBytes::default());
        unknown.copy_to(&mut counts, &mut overflow);
        counts.sort();
        let pair = |last| SourceVni { source: [10, 0, 0, last].into(), vni: Vni::new(5).unwrap() };
        assert_eq!(
            counts,
            [
                (pair(1), FrameBytes { frames: 3, bytes: 300 }),
                (pair(2), FrameBytes { frames: 1, bytes: 100 })
            ]
        );
        assert_eq!(overflow, FrameBytes { frames: 2, bytes: 200 });
    }
}
