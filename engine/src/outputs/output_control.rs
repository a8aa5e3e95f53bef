//! State that the engine and the thread of an output that writes share.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use super::OutputStats;

use crate::sys::lock;

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
        lock(&self.stats).clone()
    }

    /// Requests that the output ends its files and begins others.
    pub(crate) fn rotate(&self) {
        self.rotations.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn rotations(&self) -> u32 {
        self.rotations.load(Ordering::Relaxed)
    }

    pub(super) fn store(&self, stats: OutputStats) {
        *lock(&self.stats) = Some(stats);
    }
}
