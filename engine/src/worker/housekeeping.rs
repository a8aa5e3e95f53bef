//! When a worker copies its counters out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::counters::{CountersCell, WorkerCounters};

/// How often counters are copied. A status display once a second wants them fresher than a second;
/// copying 10 000 sessions takes a fraction of a millisecond.
const INTERVAL: Duration = Duration::from_millis(100);

/// Turns between two looks at the clock: at 64 frames a turn and 20 million frames per second some
/// 200 µs. A worker that is about to sleep looks at once.
const TURNS_PER_LOOK: u32 = 64;

/// Time-keeping, and the board to post on.
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
        counters_cell.publish(|posted| *posted = WorkerCounters::zero(session_count, output_count));
        Self { counters_cell, next: Instant::now() + INTERVAL, turns: 0 }
    }

    /// One that is due at the next turn.
    #[cfg(test)]
    pub(super) fn overdue(counters_cell: Arc<CountersCell>) -> Self {
        Self { counters_cell, next: Instant::now(), turns: TURNS_PER_LOOK }
    }

    /// Whether it is time to post; to be asked once per turn.
    #[inline]
    pub(super) fn is_due(&mut self, sleeps_next: bool) -> bool {
        self.turns += 1;
        (sleeps_next || self.turns >= TURNS_PER_LOOK) && self.look()
    }

    fn look(&mut self) -> bool {
        self.turns = 0;
        let now = Instant::now();
        let is_due = now >= self.next;
        if is_due {
            self.next = now + INTERVAL;
        }
        is_due
    }

    /// Posts a copy; the last one even if that means to wait for a reader.
    pub(super) fn publish(&self, is_last: bool, copy: impl FnOnce(&mut WorkerCounters)) {
        if is_last {
            self.counters_cell.publish(copy);
        } else {
            self.counters_cell.try_publish(copy);
        }
    }
}
