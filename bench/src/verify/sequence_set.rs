//! The sequence numbers of one flow and direction that have arrived.

use std::collections::BTreeMap;

/// Classification of an arriving sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SequenceStatus {
    /// Above all that arrived before.
    InOrder,
    /// New, but lower than one that arrived before: "reordered" in the sense of RFC 4737 section
    /// 3.3.
    Late,
    /// Has arrived before.
    Again,
}

/// The set of sequence numbers that have arrived. Its size grows with the gaps, not with the
/// numbers.
#[derive(Debug, Clone, Default)]
pub(super) struct SequenceSet {
    /// One above the highest that has arrived.
    next: u64,
    /// Missing numbers below `next`: first number to one above the last.
    gaps: BTreeMap<u64, u64>,
}

impl SequenceSet {
    /// Number of sequence numbers up to the highest that has arrived: at least as many were sent.
    pub(super) const fn seen(&self) -> u64 {
        self.next
    }

    pub(super) fn add(&mut self, sequence: u64) -> SequenceStatus {
        if sequence >= self.next {
            if sequence > self.next {
                self.gaps.insert(self.next, sequence);
            }
            self.next = sequence.saturating_add(1);
            return SequenceStatus::InOrder;
        }
        let gap = self.gaps.range(..=sequence).next_back().map(|(&first, &end)| (first, end));
        match gap {
            Some((first, end)) if sequence < end => {
                self.fill(first, end, sequence);
                SequenceStatus::Late
            }
            _ => SequenceStatus::Again,
        }
    }

    /// Takes a number out of the gap that it lies in.
    fn fill(&mut self, first: u64, end: u64, sequence: u64) {
        self.gaps.remove(&first);
        if first < sequence {
            self.gaps.insert(first, sequence);
        }
        if sequence + 1 < end {
            self.gaps.insert(sequence + 1, end);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn arrivals_agree_with_a_plain_set(sequence in prop::collection::vec(0_u64..40, 0..200)) {
            let mut arrivals = SequenceSet::default();
            let mut set = BTreeSet::new();
            for number in sequence {
                let highest = set.last().copied();
                let expected = match (set.insert(number), highest) {
                    (false, _) => SequenceStatus::Again,
                    (true, Some(highest)) if number < highest => SequenceStatus::Late,
                    (true, _) => SequenceStatus::InOrder,
                };
                prop_assert_eq!(arrivals.add(number), expected);
                let missing: u64 = arrivals.gaps.iter().map(|(first, end)| end - first).sum();
                prop_assert!(arrivals.gaps.iter().all(|(first, end)| first < end));
                prop_assert_eq!(arrivals.seen() - missing, set.len() as u64);
            }
        }
    }
}
