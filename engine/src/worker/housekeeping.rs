//! Decides when a worker publishes its counters.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::counters::{CountersCell, WorkerCounters};

/// Interval at which counters are published. A status display that refreshes once a second needs
/// counts fresher than a second; copying 10 000 sessions takes a fraction of a millisecond.
const INTERVAL: Duration = Duration::from_millis(100);

/// Turns between two readings of the clock: about 200 µs at 64 frames a turn and 20 million frames
/// per second. A worker that is about to sleep reads the clock at once.
const TURNS_PER_CHECK: u32 = 64;

/// The time of the next publication, and the cell to publish in.
#[derive(Debug)]
pub(super) struct Housekeeping {
    counters_cell: Arc<CountersCell>,
    next: Instant,
    turns: u32,
}

impl Housekeeping {
    pub(super) fn new(
        counters_cell: Arc<CountersCell>,
        session_count: usize,
        output_count: usize,
    ) -> Self {
        counters_cell
            .update(|counters| *counters = WorkerCounters::zero(session_count, output_count));
        Self { counters_cell, next: Instant::now() + INTERVAL, turns: 0 }
    }

    /// Returns one that is due at the next turn.
    #[cfg(test)]
    pub(super) fn overdue(counters_cell: Arc<CountersCell>) -> Self {
        Self { counters_cell, next: Instant::now(), turns: TURNS_PER_CHECK }
    }

    /// Returns whether it is time to publish; called once per turn.
    #[inline]
    pub(super) fn is_due(&mut self, sleeps_next: bool) -> bool {
        self.turns += 1;
        (sleeps_next || self.turns >= TURNS_PER_CHECK) && self.check_time()
    }

    fn check_time(&mut self) -> bool {
        self.turns = 0;
        let now = Instant::now();
        let is_due = now >= self.next;
        if is_due {
            self.next = now + INTERVAL;
        }
        is_due
    }

    /// Publishes a copy; waits for a reader only if the copy is the last one.
    pub(super) fn publish_counters(&self, is_last: bool, copy: impl FnOnce(&mut WorkerCounters)) {
        if is_last {
            self.counters_cell.update(copy);
        } else {
            self.counters_cell.try_publish(copy);
        }
    }
}
