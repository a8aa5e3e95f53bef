//! Clocks: the difference between the clock of the arrival times and UTC, and precise sleeps.

use std::fs;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::LazyLock;

use rustix::thread::set_current_timer_slack;
use rustix::time::{ClockId, clock_gettime};

/// Returns the nanoseconds by which the kernel's `CLOCK_MONOTONIC`, which BPF programs read, is
/// ahead of `CLOCK_REALTIME` (a large negative number), or 0 if the difference does not fit into an
/// `i64`.
///
/// A process in a time namespace reads a `CLOCK_MONOTONIC` of its own, from which the offset of the
/// namespace is taken off.
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
    let offset = i128::from(time_namespace_offset_ns().unwrap_or(0));
    let best = (0..5).map(measure).min();
    best.and_then(|(_, difference)| i64::try_from(difference - offset).ok()).unwrap_or(0)
}

/// Returns the nanoseconds by which `CLOCK_MONOTONIC` of this process is ahead of the kernel's
/// (`time_namespaces(7)`); `None` if `/proc` is not there to tell. Read once, since a process
/// cannot change its time namespace.
pub(crate) fn time_namespace_offset_ns() -> Option<i64> {
    static OFFSET: LazyLock<Option<i64>> = LazyLock::new(|| {
        match fs::read_to_string("/proc/self/timens_offsets") {
            Ok(text) => Some(monotonic_offset_ns(&text).unwrap_or(0)),
            // A kernel without time namespaces.
            Err(_) => Path::new("/proc/self/status").exists().then_some(0),
        }
    });
    *OFFSET
}

/// Reads the offset of `CLOCK_MONOTONIC`: lines of a clock, seconds and nanoseconds.
fn monotonic_offset_ns(offsets: &str) -> Option<i64> {
    let mut words =
        offsets.lines().find_map(|line| line.strip_prefix("monotonic"))?.split_whitespace();
    let mut next = || words.next()?.parse::<i64>().ok();
    next()?.checked_mul(1_000_000_000)?.checked_add(next()?)
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
    fn the_offset_of_a_time_namespace_is_read_in_nanoseconds() {
        let text = "monotonic      -86400         7\nboottime            1         0\n";
        assert_eq!(monotonic_offset_ns(text), Some(-86_400_000_000_000 + 7));
        assert_eq!(monotonic_offset_ns("boottime 1 0\n"), None);
        assert_eq!(time_namespace_offset_ns(), Some(0), "tests run in none");
    }

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
