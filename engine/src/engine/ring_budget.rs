//! The memory of each queue that output rings share, and its division among outputs that a reload
//! adds.

use crate::config::{MemoryPlan, OUTPUTS_MAX};

/// Shortest ring that an output gets, the least that `memory.output_ring` allows.
const RING_LEN_MIN: usize = 64;

/// Memory of each queue for output rings.
#[derive(Clone, Copy, Debug)]
pub(super) struct RingBudget {
    /// Length of the rings of the outputs that the memory is planned for.
    pub(super) ring_len: u32,
    /// Length of the ring of `vxtap tail`; 0 if there is no memory for it.
    pub(super) tail_ring_len: u32,
    /// Number of chunks for the rings of all other outputs together.
    chunks: usize,
}

impl RingBudget {
    /// Returns the memory of a plan for so many rings.
    pub(super) const fn new(plan: MemoryPlan, rings: usize) -> Self {
        let MemoryPlan { output_ring_len: ring_len, spare_ring_len, tail_ring_len, .. } = plan;
        let chunks = rings * ring_len as usize + spare_ring_len as usize;
        Self { ring_len, tail_ring_len, chunks }
    }

    /// Returns the length of each of `added` further rings: the planned one, or a shorter one that
    /// there is memory for. `None` if there is no memory, or if a frame would have more outputs
    /// than can be counted. `lens` has the lengths of the rings that there are.
    pub(super) fn ring_len(
        self,
        lens: impl Iterator<Item = u32> + Clone,
        added: usize,
    ) -> Option<u32> {
        // `vxtap tail` is an output too.
        if lens.clone().count() + added >= OUTPUTS_MAX as usize {
            return None;
        }
        let used: usize = lens.map(|len| len as usize).sum();
        let each = self.chunks.saturating_sub(used) / added.max(1);
        let len = 1 << each.checked_ilog2()?;
        (len >= RING_LEN_MIN)
            .then(|| u32::try_from(len).map_or(self.ring_len, |len| len.min(self.ring_len)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: MemoryPlan = MemoryPlan {
        chunk_count: 0,
        output_ring_len: 8192,
        spare_ring_len: 2048,
        tail_ring_len: 1024,
    };

    #[test]
    fn an_output_that_is_added_gets_what_the_others_leave() {
        let budget = RingBudget::new(PLAN, 1);
        let len = |lens: &[u32], added| budget.ring_len(lens.iter().copied(), added);
        assert_eq!(len(&[8192], 1), Some(2048));
        assert_eq!(len(&[8192], 2), Some(1024));
        assert_eq!(len(&[8192, 2048], 1), None, "until one of them has ended");
        assert_eq!(len(&[2048], 1), Some(8192), "as long as planned, not longer");
        assert_eq!(len(&[], 1), Some(8192));
        assert_eq!(len(&[8192, 1024, 1024 - 63], 1), None, "63 chunks are left");
    }

    #[test]
    fn a_frame_has_no_more_outputs_than_can_be_counted() {
        let budget = RingBudget::new(PLAN, 255);
        let len = |rings, added| budget.ring_len(std::iter::repeat_n(64, rings), added);
        assert_eq!((len(253, 1), len(253, 2), len(254, 1)), (Some(8192), None, None));
    }
}
