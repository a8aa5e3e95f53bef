//! Reading the arrival time that the XDP program left in front of a frame.

use vxtap_ebpf::arrival::{AREA_LEN, Arrival};

/// How much older than the newest time a time may be and still be believed: a queue whose interrupt
/// moves to another CPU may see that CPU's clock a little behind.
const DISORDER_NS: u64 = 1_000_000;

/// Tells the times of frames from those that earlier frames have left in their chunks.
#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "the unit is part of the name")]
pub(crate) struct Stamps {
    newest_ns: u64,
    /// Older times are left over. Moves on once per batch.
    oldest_ns: u64,
    /// How much older than the newest a time may be.
    disorder_ns: u64,
}

impl Stamps {
    /// Times that never go back, so that an old one is a left-over.
    pub(crate) const MONOTONIC: Self =
        Self { newest_ns: 0, oldest_ns: 0, disorder_ns: DISORDER_NS };

    /// Times in any order; nothing is left over, because the writer clears the area of a frame
    /// without time.
    pub(crate) const CLEARED: Self = Self { newest_ns: 0, oldest_ns: 0, disorder_ns: u64::MAX };

    /// A new batch begins.
    #[inline]
    pub(crate) const fn begin_batch(&mut self) {
        self.oldest_ns = self.newest_ns.saturating_sub(self.disorder_ns);
    }

    /// The time in `area`, the bytes in front of the frame, in nanoseconds of the writer's clock.
    /// `None` if the frame has none.
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
        let mut stamps = Stamps::MONOTONIC;
        let newest = 10 * DISORDER_NS;
        assert_eq!(stamps.read(&Arrival::bytes(newest)), Some(newest));
        stamps.begin_batch();
        assert_eq!(
            stamps.read(&Arrival::bytes(newest - DISORDER_NS)),
            Some(newest - DISORDER_NS),
            "another CPU's clock"
        );
        assert_eq!(stamps.read(&Arrival::bytes(newest - DISORDER_NS - 1)), None);
        assert_eq!(stamps.read(&[0; AREA_LEN]), None, "no mark");
    }

    #[test]
    fn where_nothing_is_left_over_any_time_is_believed() {
        let mut stamps = Stamps::CLEARED;
        for time_ns in [7_000_000_000, 5] {
            stamps.begin_batch();
            assert_eq!(stamps.read(&Arrival::bytes(time_ns)), Some(time_ns));
        }
    }
}
