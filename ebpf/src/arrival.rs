//! The arrival time that the XDP program writes in front of a frame (the XDP metadata area), and
//! its recognition in the engine.
//!
//! ```text
//!   headroom ... | mark: u64 | time_ns: u64 | frame bytes ...
//!                ^ frame - 16               ^ descriptor address
//! ```
//!
//! User space does not see the length of the metadata area, so the mark distinguishes a frame with
//! a time from one without (a driver without metadata, or stamping turned off). Chunks are reused,
//! and a frame without a time may have that of an earlier frame in front of it: the times of a
//! queue never go back (except for the difference of two CPUs' clocks), so a time well before the
//! newest one seen is stale. Clearing the mark instead would cost a write to a cache line that the
//! kernel's CPU writes next.

/// Size of the area in bytes; a multiple of 4, at most 32, as the kernel's `bpf_xdp_adjust_meta`
/// asks.
pub const AREA_LEN: usize = 16;

/// Marks an arrival time behind it. A random number; an integer in host byte order.
pub const MARK: u64 = 0x7674_6170_5fc3_91d7;

/// The area as it lies in memory, host byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Arrival {
    /// [`MARK`].
    pub mark: u64,
    /// Nanoseconds of `CLOCK_MONOTONIC` when the XDP program ran: a clock that cannot be set back.
    /// The engine reads its offset from UTC from the kernel.
    pub time_ns: u64,
}

impl Arrival {
    /// Returns the area's bytes for a frame that arrived at `time_ns` (`CLOCK_MONOTONIC`,
    /// nanoseconds).
    pub const fn bytes(time_ns: u64) -> [u8; AREA_LEN] {
        let mark = MARK.to_ne_bytes();
        let time = time_ns.to_ne_bytes();
        let mut area = [0; AREA_LEN];
        let mut i = 0;
        while i < 8 {
            area[i] = mark[i];
            area[i + 8] = time[i];
            i += 1;
        }
        area
    }

    /// Returns the arrival time in `area`, or `None` if the mark is not there.
    #[inline]
    pub fn time_in(area: &[u8; AREA_LEN]) -> Option<u64> {
        let (mark, time) = area.split_first_chunk::<8>()?;
        let time: &[u8; 8] = time.first_chunk()?;
        (u64::from_ne_bytes(*mark) == MARK).then(|| u64::from_ne_bytes(*time))
    }
}

const _: () = assert!(size_of::<Arrival>() == AREA_LEN);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_a_cleared_mark_is_no_time() {
        let mut area = Arrival::bytes(1_700_000_000_123_456_789);
        assert_eq!(Arrival::time_in(&area), Some(1_700_000_000_123_456_789));
        area[0] ^= 1;
        assert_eq!(Arrival::time_in(&area), None);
    }
}
