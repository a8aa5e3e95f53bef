//! From the kernel's TAI clock to UTC.

use super::syscall;

/// Nanoseconds by which `CLOCK_TAI` is ahead of `CLOCK_REALTIME`, or 0 if the clocks cannot be read.
///
/// The kernel keeps the difference as a whole number of seconds: 37 where a time daemon has told it, 0 where none
/// has (`adjtimex(2)`, `tai`). The two reads are a moment apart, so the result is rounded to the second.
pub(super) fn tai_minus_utc_ns() -> i64 {
    const SECOND_NS: i128 = 1_000_000_000;
    let (Ok(tai), Ok(utc)) = (syscall::clock_ns(libc::CLOCK_TAI), syscall::clock_ns(libc::CLOCK_REALTIME))
    else {
        return 0;
    };
    let seconds = (tai - utc + SECOND_NS / 2).div_euclid(SECOND_NS);
    i64::try_from(seconds * SECOND_NS).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_difference_is_a_whole_number_of_seconds_within_a_minute() {
        let difference = tai_minus_utc_ns();
        assert_eq!(difference % 1_000_000_000, 0);
        assert!((0..60_000_000_000).contains(&difference), "{difference}");
    }
}
