//! Taking the arrival time that the XDP program left in front of a frame.

use vxtap_ebpf::arrival::{AREA_LEN, Arrival};

/// The arrival time at the end of `before`, the bytes of the chunk in front of the frame, in nanoseconds of
/// `CLOCK_TAI`. Clears its mark, so that a later frame in the same chunk that carries no time is not given this one.
#[inline]
pub(crate) fn take_arrival(before: &mut [u8]) -> Option<u64> {
    let area: &mut [u8; AREA_LEN] = before.last_chunk_mut()?;
    let time_ns = Arrival::time_in(area)?;
    area[..8].fill(0);
    Some(time_ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arrival_time_is_taken_once() {
        let mut before = [0xff; 256];
        before[240..].copy_from_slice(&Arrival::bytes(42));
        assert_eq!(take_arrival(&mut before), Some(42));
        assert_eq!(take_arrival(&mut before), None);
        assert_eq!(take_arrival(&mut before[..8]), None, "no room for one");
    }
}
