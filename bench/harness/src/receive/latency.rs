//! Measures the time from the XDP program to the application.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hdrhistogram::Histogram;

use crate::mark_protocol::Latency;

/// Longest recorded time, in nanoseconds: a minute.
const LONGEST_NS: u64 = 60_000_000_000;
/// Digits kept of each time: percentiles are right to one in a hundred, and the histogram stays in
/// the cache.
const DIGITS: u8 = 2;

/// A histogram that one thread fills and another empties.
#[derive(Clone, Debug)]
pub(super) struct Recorder {
    times: Arc<Mutex<Histogram<u64>>>,
}

impl Recorder {
    pub(super) fn new() -> Self {
        Self { times: Arc::new(Mutex::new(empty())) }
    }

    /// Locks the histogram for the samples of a batch.
    pub(super) fn batch(&self) -> Samples<'_> {
        Samples { times: self.lock() }
    }

    /// Returns the percentiles of the times since the last call, and starts a new histogram.
    pub(super) fn take(&self) -> Latency {
        let times = std::mem::replace(&mut *self.lock(), empty());
        Latency {
            count: times.len(),
            p50_ns: times.value_at_quantile(0.5),
            p99_ns: times.value_at_quantile(0.99),
            p999_ns: times.value_at_quantile(0.999),
            max_ns: times.max(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Histogram<u64>> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The histogram, locked.
#[derive(Debug)]
pub(super) struct Samples<'a> {
    times: MutexGuard<'a, Histogram<u64>>,
}

impl Samples<'_> {
    /// Records the time from `from_ns` to `to_ns`, 0 if that is negative.
    pub(super) fn add(&mut self, from_ns: u64, to_ns: u64) {
        self.times.saturating_record(to_ns.saturating_sub(from_ns));
    }
}

fn empty() -> Histogram<u64> {
    Histogram::new_with_max(LONGEST_NS, DIGITS).expect("valid bounds")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_samples_since_the_last_call() {
        let recorder = Recorder::new();
        let mut samples = recorder.batch();
        (1..=1000).for_each(|microseconds| samples.add(5_000, 5_000 + microseconds * 1000));
        drop(samples);
        let Latency { count, p50_ns, p99_ns, p999_ns, max_ns } = recorder.take();
        let is_near = |ns: u64, expected: u64| ns.abs_diff(expected) * 100 <= expected;
        assert_eq!(count, 1000);
        assert!(is_near(p50_ns, 500_000), "{p50_ns}");
        assert!(is_near(p99_ns, 990_000), "{p99_ns}");
        assert!(is_near(p999_ns, 999_000), "{p999_ns}");
        assert!(is_near(max_ns, 1_000_000), "{max_ns}");
        assert_eq!(recorder.take(), Latency::default());
    }

    #[test]
    fn a_negative_time_counts_as_none_and_a_huge_one_as_the_longest() {
        let recorder = Recorder::new();
        recorder.batch().add(9, 8);
        assert_eq!(recorder.take(), Latency { count: 1, ..Latency::default() });
        recorder.batch().add(0, u64::MAX);
        assert!(recorder.take().max_ns >= LONGEST_NS);
    }
}
