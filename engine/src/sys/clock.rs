//! Clocks: the difference between the clock of the arrival times and UTC, and precise sleeps.

use std::num::NonZeroU64;

use rustix::thread::set_current_timer_slack;
use rustix::time::{ClockId, clock_gettime};

/// Returns the nanoseconds by which `CLOCK_MONOTONIC` is ahead of `CLOCK_REALTIME` (a large
/// negative number), or 0 if the difference does not fit into an `i64`.
///
/// Time daemons slew both clocks alike, so that the difference changes only when the time is set.
/// The read of one clock lies between two of the other: the result is off by at most half the time
/// that takes, some 50 ns. An interruption makes it longer, so that the best of a few measurements
/// is taken.
pub(crate) fn monotonic_minus_utc_ns() -> i64 {
    let measure = |_| {
        let before = clock_ns(ClockId::Monotonic);
        let utc = clock_ns(ClockId::Realtime);
        let after = clock_ns(ClockId::Monotonic);
        (after - before, before.midpoint(after) - utc)
    };
    let best = (0..5).map(measure).min();
    best.and_then(|(_, difference)| i64::try_from(difference).ok()).unwrap_or(0)
}

/// Reads a kernel clock, in nanoseconds.
fn clock_ns(clock: ClockId) -> i128 {
    let time = clock_gettime(clock);
    i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
}

/// Lets the calling thread's short sleeps end on time (`PR_SET_TIMERSLACK(2const)`). Without, they
/// last up to 50 µs longer.
pub(crate) fn sleep_precisely() {
    const SLACK_NS: NonZeroU64 = NonZeroU64::new(1000).expect("not 0");
    // If it cannot be set, sleeps are longer, which costs delay alone.
    let _ = set_current_timer_slack(Some(SLACK_NS));
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    #[test]
    fn the_difference_leads_from_one_clock_to_the_other() {
        let difference = i128::from(monotonic_minus_utc_ns());
        let monotonic = clock_ns(ClockId::Monotonic);
        let utc = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos().cast_signed();
        let error = monotonic - difference - utc;
        assert!(error.abs() < 1_000_000_000, "{error} ns");
        assert!(difference < 0, "this machine was started after 1970");
    }
}
