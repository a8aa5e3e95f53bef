//! Counts that a receiving thread publishes, and the flags by which it is controlled.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use vxtap_tests::wait_until;

/// Longest time until the receiving thread answers; it checks the flags at least every 100 ms.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Counts of an application since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames of the generator.
    pub frames: u64,
    /// Their inner bytes.
    pub bytes: u64,
    /// Other frames.
    pub foreign: u64,
    /// Those of `frames` with a payload tag that does not fit them.
    pub damaged: u64,
}

/// Counts that one thread writes once per batch, and others read at any time.
///
/// On cache lines of its own, so that writes cause no false sharing.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct SharedCounts {
    frames: AtomicU64,
    bytes: AtomicU64,
    foreign: AtomicU64,
    damaged: AtomicU64,
    stop: AtomicBool,
    /// Set by the thread that requests `lost`, cleared by the thread that has written it.
    is_asked: AtomicBool,
    lost: Mutex<Option<u64>>,
}

impl SharedCounts {
    /// Publishes new counts.
    pub fn publish(&self, counts: Counts) {
        let Counts { frames, bytes, foreign, damaged } = counts;
        self.frames.store(frames, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
        self.foreign.store(foreign, Ordering::Relaxed);
        self.damaged.store(damaged, Ordering::Relaxed);
    }

    /// Returns the counts as last published; each is at most one batch behind the others.
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

    /// Returns whether the receiving thread is to end.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Requests the number of frames that the receiving thread's kernel interface lost.
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

    /// Returns whether a caller waits for [`Self::tell_lost`].
    pub fn is_asked(&self) -> bool {
        self.is_asked.load(Ordering::Relaxed)
    }

    /// Answers with the number of frames that the kernel interface lost.
    pub fn tell_lost(&self, lost: Option<u64>) {
        *self.lost.lock().unwrap_or_else(PoisonError::into_inner) = lost;
        self.is_asked.store(false, Ordering::Release);
    }
}
