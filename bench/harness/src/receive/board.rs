//! Where a receiving thread shows its counts, and learns that it is to end.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use vxtap_tests::wait_until;

use super::app::Counts;

/// A receiving thread looks at its board at least every 100 ms.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Counts that one thread writes once per batch, and others read at any time.
///
/// On cache lines of its own, so that writing it disturbs nobody.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Board {
    frames: AtomicU64,
    bytes: AtomicU64,
    foreign: AtomicU64,
    damaged: AtomicU64,
    stop: AtomicBool,
    /// Set by who asks for `lost`, cleared by who has written it.
    is_asked: AtomicBool,
    lost: Mutex<Option<u64>>,
}

impl Board {
    /// Shows new counts.
    pub fn publish(&self, counts: Counts) {
        let Counts { frames, bytes, foreign, damaged } = counts;
        self.frames.store(frames, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
        self.foreign.store(foreign, Ordering::Relaxed);
        self.damaged.store(damaged, Ordering::Relaxed);
    }

    /// The counts as last shown; each is at most one batch behind the others.
    pub fn counts(&self) -> Counts {
        Counts {
            frames: self.frames.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            foreign: self.foreign.load(Ordering::Relaxed),
            damaged: self.damaged.load(Ordering::Relaxed),
        }
    }

    /// Asks the receiving thread to end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether the receiving thread is to end.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Has the receiving thread say what its kernel interface lost.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn ask_lost(&self) -> Result<Option<u64>> {
        self.is_asked.store(true, Ordering::Relaxed);
        wait_until("the receiving thread", ANSWER_TIMEOUT, || {
            !self.is_asked.load(Ordering::Acquire)
        })?;
        Ok(*self.lost.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether somebody waits for [`Self::tell_lost`].
    pub fn is_asked(&self) -> bool {
        self.is_asked.load(Ordering::Relaxed)
    }

    /// Says what the kernel interface lost.
    pub fn tell_lost(&self, lost: Option<u64>) {
        *self.lost.lock().unwrap_or_else(PoisonError::into_inner) = lost;
        self.is_asked.store(false, Ordering::Release);
    }
}
