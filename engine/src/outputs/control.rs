//! State that the engine and the thread of an output that writes share.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use super::OutputStats;

/// Rotation requests to the thread of an output, and the counts that it publishes.
#[derive(Debug, Default)]
pub(crate) struct OutputControl {
    /// Counts so far; `None` if the output publishes none while it runs.
    stats: Mutex<Option<OutputStats>>,
    /// Number of rotations that were requested.
    rotations: AtomicU32,
}

impl OutputControl {
    pub(crate) fn stats(&self) -> Option<OutputStats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Requests that the output ends its files and begins others.
    pub(crate) fn rotate(&self) {
        self.rotations.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn rotations(&self) -> u32 {
        self.rotations.load(Ordering::Relaxed)
    }

    pub(super) fn publish(&self, stats: OutputStats) {
        *self.stats.lock().unwrap_or_else(PoisonError::into_inner) = Some(stats);
    }
}
