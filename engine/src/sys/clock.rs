//! Clocks: from that of the arrival times to UTC, and sleeps that end on time.

use super::syscall;

/// Nanoseconds by which `CLOCK_MONOTONIC` is ahead of `CLOCK_REALTIME` (a large negative number),
/// or 0 if the clocks cannot be read.
///
/// Time daemons slew both clocks alike, so that the difference changes only when somebody sets the
/// time. The read of one clock lies between two of the other: the result is off by at most half the
/// time that takes, some 50 ns. An interruption makes it longer, so that the best of a few
/// measurements is taken.
pub(crate) fn monotonic_minus_utc_ns() -> i64 {
    let measure = || {
        let before = syscall::clock_ns(libc::CLOCK_MONOTONIC).ok()?;
        let utc = syscall::clock_ns(libc::CLOCK_REALTIME).ok()?;
        let after = syscall::clock_ns(libc::CLOCK_MONOTONIC).ok()?;
        Some((after - before, before.midpoint(after) - utc))
    };
    let best = (0..5).filter_map(|_| measure()).min();
    best.and_then(|(_, difference)| i64::try_from(difference).ok()).unwrap_or(0)
}

/// Lets the calling thread's short sleeps end on time. Without, they last up to 50 µs longer.
pub(crate) fn sleep_precisely() {
    const SLACK_NS: libc::c_ulong = 1000;
    // Where it cannot be set, sleeps are longer, which costs delay alone.
    let _ = syscall::set_timer_slack(SLACK_NS);
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    #[test]
    fn the_difference_leads_from_one_clock_to_the_other() {
        let difference = i128::from(monotonic_minus_utc_ns());
        let monotonic = syscall::clock_ns(libc::CLOCK_MONOTONIC).unwrap();
        let utc = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos().cast_signed();
        let error = monotonic - difference - utc;
        assert!(error.abs() < 1_000_000_000, "{error} ns");
        assert!(difference < 0, "this machine was started after 1970");
    }
}
