//! The arrival time that the XDP program writes in front of a frame (the XDP metadata area), and
//! how the engine finds it again.
//!
//! ```text
//!   headroom ... | mark: u64 | time_ns: u64 | frame bytes ...
//!                ^ frame - 16               ^ descriptor address
//! ```
//!
//! The metadata area has no length that user space could see, so a frame without it (a driver that
//! has no metadata, or stamping turned off) is told from one with it by the mark. A chunk is used
//! again and again, and a frame without time may find that of an earlier one in front of it: times
//! of a queue never go back (but for what two CPUs' clocks differ by), so a time that is well
//! before the newest one seen is such a left-over. Clearing the mark instead would cost a write to
//! a cache line that the kernel's CPU writes next.

/// Size of the area in bytes; a multiple of 4, at most 32, as the kernel's `bpf_xdp_adjust_meta`
/// asks.
pub const AREA_LEN: usize = 16;

/// Says that an arrival time follows. Chosen by chance; read as an integer in host byte order.
pub const MARK: u64 = 0x7674_6170_5fc3_91d7;

/// The area as it lies in memory, host byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Arrival {
    /// [`MARK`].
    pub mark: u64,
    /// Nanoseconds of `CLOCK_MONOTONIC` when the XDP program ran: a clock that nobody can set back.
    /// How far it is from UTC the engine asks the kernel for.
    pub time_ns: u64,
}

impl Arrival {
    /// The area's bytes for a frame that arrived at `time_ns` (`CLOCK_MONOTONIC`, nanoseconds).
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

    /// The arrival time in `area`, or `None` if the mark is not there.
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
