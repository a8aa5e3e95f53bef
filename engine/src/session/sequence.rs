//! Counts frames of a session that were lost before they arrived, by the sequence numbers of its
//! mirror.

/// Maximum distance of a late frame's number behind the latest one. A number that is further behind
/// means that the mirror has restarted.
const LATE_MAX: u32 = 1024;

/// Counts by the sequence numbers of a session, over all queues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SequenceCounters {
    /// Frames with a number.
    pub received: u64,
    /// Missing numbers between the first and the latest one. Decreases when a late frame arrives.
    pub lost: u64,
    /// Number of times that the numbers restarted.
    pub restarts: u64,
}

/// Sequence numbers of one session.
#[derive(Debug)]
pub(crate) struct Sequence {
    bits: u32,
    run: Option<SequenceRun>,
    /// Counts before the last restart.
    ended: SequenceCounters,
}

/// Numbers without a restart between them, extended so that they do not wrap.
#[derive(Clone, Copy, Debug)]
struct SequenceRun {
    first: u64,
    latest: u64,
    received: u64,
}

impl SequenceRun {
    /// Returns the number of missing frames. Repeated frames can hide lost ones; the difference is
    /// never below zero.
    const fn lost(&self) -> u64 {
        (self.latest - self.first + 1).saturating_sub(self.received)
    }
}

impl Sequence {
    /// Returns a sequence of numbers with `bits` bits, at most 24.
    pub(crate) const fn new(bits: u32) -> Self {
        Self { bits, run: None, ended: SequenceCounters { received: 0, lost: 0, restarts: 0 } }
    }

    pub(crate) const fn bits(&self) -> u32 {
        self.bits
    }

    /// Counts the number of a frame.
    pub(crate) fn note(&mut self, number: u32) {
        let values = 1_u64 << self.bits;
        let number = u64::from(number);
        let Some(run) = &mut self.run else {
            // One round above zero, so that late frames have a number too.
            let first = number + values;
            self.run = Some(SequenceRun { first, latest: first, received: 1 });
            return;
        };
        let ahead = number.wrapping_sub(run.latest) & (values - 1);
        let back = values - ahead;
        if ahead < values / 2 {
            run.latest += ahead;
        } else if back <= u64::from(LATE_MAX).min(values / 4) {
            run.first = run.first.min(run.latest - back);
        } else {
            self.ended.lost += run.lost();
            self.ended.received += run.received;
            self.ended.restarts += 1;
            self.run = None;
            return self.note(u32::try_from(number).unwrap_or(0));
        }
        run.received += 1;
    }

    pub(crate) fn counters(&self) -> SequenceCounters {
        let SequenceCounters { received, lost, restarts } = self.ended;
        let run = self.run.map_or((0, 0), |run| (run.received, run.lost()));
        SequenceCounters { received: received + run.0, lost: lost + run.1, restarts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bits: u32, numbers: impl IntoIterator<Item = u32>) -> (u64, u64, u64) {
        let mut sequence = Sequence::new(bits);
        numbers.into_iter().for_each(|number| sequence.note(number));
        let SequenceCounters { received, lost, restarts } = sequence.counters();
        (received, lost, restarts)
    }

    #[test]
    fn missing_numbers_are_lost_until_they_come() {
        assert_eq!(of(8, []), (0, 0, 0));
        assert_eq!(of(8, [7, 8, 9]), (3, 0, 0));
        assert_eq!(of(8, [7, 9, 12]), (3, 3, 0));
        assert_eq!(of(8, [7, 9, 8]), (3, 0, 0), "late");
        assert_eq!(of(8, [7, 6, 9]), (3, 1, 0), "before the first");
        assert_eq!(of(8, [7, 7, 8]), (3, 0, 0), "twice");
    }

    #[test]
    fn numbers_go_on_after_the_highest_and_may_begin_anew() {
        assert_eq!(of(4, (0..1000).map(|number| number % 16)), (1000, 0, 0));
        assert_eq!(
            of(4, (0..1000).filter(|number| number % 10 != 3).map(|number| number % 16)),
            (900, 100, 0)
        );
        assert_eq!(
            of(16, (5000..5010).chain(0..10)),
            (20, 0, 1),
            "an earlier number than a late frame's"
        );
        assert_eq!(of(16, [5000, 5002, 0, 3]), (4, 3, 1), "what was lost before stays so");
    }
}
