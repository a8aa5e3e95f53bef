//! Arrival times, which the XDP program writes in front of a frame.

use vxtap_ebpf::arrival::{AREA_LEN, Arrival};

/// Nanoseconds by which a time may be older than the newest one and still be believed: a queue
/// whose interrupt moves to another CPU may see that CPU's clock a little behind.
const DISORDER_NS: u64 = 1_000_000;

/// Distinguishes the arrival times of frames from those that earlier frames have left in their
/// chunks.
#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "the unit is part of the name")]
pub(crate) struct ArrivalTimes {
    newest_ns: u64,
    /// Times before this one are left over from earlier frames. Moves on once per batch.
    oldest_ns: u64,
    /// Nanoseconds by which a time may be older than the newest.
    disorder_ns: u64,
}

impl ArrivalTimes {
    /// Times that never go back (`CLOCK_MONOTONIC`), so that an old one is left over.
    pub(crate) const MONOTONIC: Self =
        Self { newest_ns: 0, oldest_ns: 0, disorder_ns: DISORDER_NS };

    /// Times in any order; nothing is left over, because the writer clears the area of a frame
    /// without time.
    pub(crate) const CLEARED: Self = Self { newest_ns: 0, oldest_ns: 0, disorder_ns: u64::MAX };

    /// Begins a new batch.
    #[inline]
    pub(crate) const fn begin_batch(&mut self) {
        self.oldest_ns = self.newest_ns.saturating_sub(self.disorder_ns);
    }

    /// Returns the time in `area`, the bytes in front of the frame, in nanoseconds of the writer's
    /// clock; `None` if the frame has none.
    #[inline]
    pub(crate) fn read(&mut self, area: &[u8; AREA_LEN]) -> Option<u64> {
        let time_ns = Arrival::time_in(area)?;
        if time_ns < self.oldest_ns {
            return None;
        }
        self.newest_ns = self.newest_ns.max(time_ns);
        Some(time_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_an_earlier_frame_has_left_is_not_taken_for_one() {
        let mut arrival_times = ArrivalTimes::MONOTONIC;
        let newest = 10 * DISORDER_NS;
        assert_eq!(arrival_times.read(&Arrival::bytes(newest)), Some(newest));
        arrival_times.begin_batch();
        assert_eq!(
            arrival_times.read(&Arrival::bytes(newest - DISORDER_NS)),
            Some(newest - DISORDER_NS),
            "another CPU's clock"
        );
        assert_eq!(arrival_times.read(&Arrival::bytes(newest - DISORDER_NS - 1)), None);
        assert_eq!(arrival_times.read(&[0; AREA_LEN]), None, "no mark");
    }

    #[test]
    fn where_nothing_is_left_over_any_time_is_believed() {
        let mut arrival_times = ArrivalTimes::CLEARED;
        for time_ns in [7_000_000_000, 5] {
            arrival_times.begin_batch();
            assert_eq!(arrival_times.read(&Arrival::bytes(time_ns)), Some(time_ns));
        }
    }
}
